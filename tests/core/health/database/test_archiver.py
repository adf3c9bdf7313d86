"""database.archiver."""

import pytest

from tdev_operators.core.health.database import archiver
from tdev_operators.core.setting_types import Ceiling
from tdev_operators.core.verdicts import Verdict

EXPECTED = {"health.database.expects_archiving": True}


def test_off_and_not_expected_is_ok_and_says_so(ports, shipped, arena):
    result = archiver.check(ports(database=arena.look), shipped)
    assert result.verdict is Verdict.OK
    assert result.summary == "WAL is not archived, and the settings do not expect it."


def test_off_and_expected_is_critical(ports, change, arena):
    result = archiver.check(ports(database=arena.look), change(EXPECTED))
    assert result.verdict is Verdict.CRITICAL
    assert "archive_mode = off" in result.summary


@pytest.fixture
def archiving(arena_16, until):
    """Return a function that lets one WAL file be archived by a command, and waits for its success or failure."""

    def go(command, counter):
        arena_16.run(f"ALTER SYSTEM SET archive_command = '{command}'", "SELECT pg_reload_conf()")
        until(lambda: arena_16.look.rows("SHOW archive_command")[0]["archive_command"] == command)
        count = f"SELECT {counter} AS n FROM pg_stat_archiver"
        before = arena_16.look.rows(count)[0]["n"]
        arena_16.run("SELECT pg_current_xact_id()", "SELECT pg_switch_wal()")
        until(lambda: arena_16.look.rows(count)[0]["n"] > before, seconds=60)

    yield go
    arena_16.run("ALTER SYSTEM RESET archive_command", "SELECT pg_reload_conf()")


def test_success_failure_and_success_again(ports, change, arena_16, archiving):
    system, settings = ports(database=arena_16.look), change(EXPECTED)
    archiving("/bin/true", "archived_count")
    assert archiver.check(system, settings).verdict is Verdict.OK
    archiving("/bin/false", "failed_count")
    failing = archiver.check(system, settings)
    assert failing.verdict is Verdict.CRITICAL
    assert "fails" in failing.summary
    archiving("/bin/true", "archived_count")
    assert archiver.check(system, settings).verdict is Verdict.OK


def test_expected_and_nothing_archived_yet_is_unknown(ports, change, arena, patched):
    silent = patched(arena.look, {"archived_count": {"configured": True, "mode": "on", "archived": 0}})
    assert archiver.check(ports(database=silent), change(EXPECTED)).verdict is Verdict.UNKNOWN


@pytest.fixture
def hanging(arena_16, until):
    """Let the archiver run a command that does not come back, while a WAL file waits."""
    hold, command = arena_16.cluster.data / "hold", "while [ -e hold ]; do sleep 0.1; done"  # run in the data folder
    ready = r"SELECT 1 FROM pg_ls_archive_statusdir() WHERE name ~ '\.ready$'"
    hold.touch()
    arena_16.run(f"ALTER SYSTEM SET archive_command = '{command}'", "SELECT pg_reload_conf()")
    until(lambda: arena_16.look.rows("SHOW archive_command")[0]["archive_command"] == command)
    arena_16.run("SELECT pg_current_xact_id()", "SELECT pg_switch_wal()")
    until(lambda: arena_16.look.rows(ready))
    yield
    hold.unlink()
    arena_16.run("ALTER SYSTEM RESET archive_command", "SELECT pg_reload_conf()")
    until(lambda: not arena_16.look.rows(ready))


@pytest.mark.parametrize(("limit", "verdict"), [(0, Verdict.CRITICAL), (60, Verdict.OK)])
def test_a_hanging_archiver_counts_no_failure_and_is_found_by_what_waits(
    ports, change, arena_16, archiving, until, request, limit, verdict
):
    archiving("/bin/true", "archived_count")
    request.getfixturevalue("hanging")
    settings = change({**EXPECTED, "health.database.archive_ready_minutes": Ceiling(warning=limit, critical=limit)})
    result = archiver.check(ports(database=arena_16.look), settings)
    assert result.verdict is verdict
    assert {m.name: m.value for m in result.measurements}["WAL files that wait"] == 1
    if verdict is Verdict.CRITICAL:
        assert "1 WAL files wait to be archived" in result.summary
