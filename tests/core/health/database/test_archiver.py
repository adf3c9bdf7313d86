"""database.archiver."""

import pytest

from tdev_operators.core.health.database import archiver
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
