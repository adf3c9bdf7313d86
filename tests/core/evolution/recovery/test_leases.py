"""Lock files and lease rows: only those of a process that is dead on the host that they name."""

import os
import subprocess
import sys

import pytest

from tdev_operators.core.errors import CommandFailedError
from tdev_operators.core.evolution.recovery import leases
from tdev_operators.core.evolution.recovery.leases import ASIDE, clear_leases, clear_lock_files, lives
from tdev_operators.core.evolution.recovery.settings import LeaseTable
from tdev_operators.core.ports import CommandOutput
from tdev_operators.core.settings import load_settings
from tdev_operators.core.sql import include_dir
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.hosts.local import LocalHost

RULES = load_settings(include_dir() / "tdev.toml").evolution.recovery
TABLE = LeaseTable(table="public.evolution_leases", host_column="host", pid_column="pid")
HOST = LocalHost("sandbox")


@pytest.fixture(scope="module")
def dead():
    """The number of a process that is no more."""
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    return child.pid


def cleared(file, notes=None, host=HOST):
    rules = RULES.model_copy(update={"lock_files": (str(file),)})
    return clear_lock_files(
        rules, [host], lambda event, facts: (notes if notes is not None else []).append((event, facts))
    )


def test_a_lock_file_of_a_dead_process_is_moved_aside_and_noted_before(tmp_path, dead):
    file, notes = tmp_path / "engine.pid", []
    file.write_text(f"{dead}\nhost\n")
    found = cleared(file, notes)
    assert found.kept == ()
    assert f"its process {dead} is dead" in found.ended[0]
    assert not file.exists()
    assert (tmp_path / f"engine.pid{ASIDE}").read_text() == f"{dead}\nhost\n"
    assert notes == [
        (
            "evolution_lock_file",
            {"host": "sandbox", "file": str(file), "pid": dead, "way_back": f"{file}{ASIDE}"},
        )
    ]
    assert cleared(file).ended == cleared(file).kept == (), "a retry finds nothing to do"


def test_a_recovery_moves_a_dead_engines_lock_file_aside_and_tells_it_before(evolution, tmp_path, dead):
    file = tmp_path / "engine.pid"
    file.write_text(str(dead))
    found = evolution.recover(settings=evolution.settings(lock_files=(str(file),)))
    assert found["cure"].verdict is Verdict.OK, found["cure"]
    assert found["locks"].details[0].startswith(f"{file} on sandbox was moved aside")
    assert f"lock file    sandbox: {file}: of process {dead}, which is dead" in found["diagnosis"].details
    assert not file.exists()


def test_a_lock_file_of_a_process_that_lives_stays(tmp_path):
    file = tmp_path / "engine.pid"
    file.write_text(str(os.getpid()))
    assert cleared(file).kept == (f"{file} on sandbox stays: its process {os.getpid()} lives",)
    assert file.exists()


@pytest.mark.parametrize("content", ["", "locked", "\n\n", "x1"])
def test_a_lock_file_that_names_no_process_stays(tmp_path, content):
    file = tmp_path / "engine.pid"
    file.write_text(content)
    assert "it does not begin with a process id" in cleared(file).kept[0]
    assert file.exists()


def test_a_lock_file_that_somebody_else_takes_meanwhile_is_given_back(tmp_path, dead):
    file = tmp_path / "engine.pid"
    file.write_text(str(dead))

    class Raced(LocalHost):
        def run(self, argv, **options):
            if argv[:2] == ["mv", "-fT"]:
                file.write_text(str(os.getpid()))
            return super().run(argv, **options)

    found = cleared(file, host=Raced("sandbox"))
    assert "another process took it while it was looked at" in found.kept[0]
    assert file.read_text() == str(os.getpid())


def test_a_host_that_cannot_say_is_not_believed(tmp_path):
    class Shut(LocalHost):
        def run(self, argv, **options):
            if argv[0] == "cat":
                return CommandOutput(1, "", "cat: Permission denied")
            return super().run(argv, **options)

    with pytest.raises(CommandFailedError, match="Permission denied"):
        lives(Shut("sandbox"), 1)
    file = tmp_path / "engine.pid"
    file.write_text("1")
    assert "Permission denied" in cleared(file, host=Shut("sandbox")).kept[0]
    assert file.exists()


def test_a_zombie_holds_nothing():
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not lives(HOST, child.pid)
    child.wait()


def test_a_lease_goes_when_its_process_is_dead_on_its_host_and_the_row_is_noted(evolution, dead):
    name, notes = os.uname().nodename, []
    rows = [(name, str(dead)), (name, str(os.getpid())), ("elsewhere", str(dead)), (name, "none")]
    with evolution.system.database() as sql:
        sql.execute("SET ROLE t_developer; CREATE TABLE evolution_leases (host text, pid text); RESET ROLE")
        for row in rows:
            sql.execute("INSERT INTO evolution_leases VALUES (%s, %s)", row)
    try:
        with evolution.ports() as ports, ports.database.session() as session:
            found = clear_leases(session, TABLE, [HOST], lambda event, facts: notes.append((event, facts)))
        with evolution.system.database() as sql:
            left = sql.execute("SELECT host, pid FROM evolution_leases").fetchall()
        evolution_too = evolution.recover(settings=evolution.settings(lease=TABLE))
    finally:
        with evolution.system.database() as sql:
            sql.execute("DROP TABLE evolution_leases")
    assert left == rows[1:]
    assert len(found.ended) == 1
    assert [line.partition(" stays: ")[2] for line in found.kept] == [
        "its process lives",
        "elsewhere is none of the hosts on which the engine was stopped",
        "'none' is no process id",
    ]
    assert notes == [("evolution_lease", {"table": TABLE.table, "row": {"host": name, "pid": str(dead)}})]
    assert len(evolution_too["locks"].details) == 3


def test_a_lease_that_is_renewed_meanwhile_stays(evolution, dead, monkeypatch):
    with evolution.system.database() as sql:
        sql.execute("SET ROLE t_developer; CREATE TABLE evolution_leases (host text, pid text); RESET ROLE")
        sql.execute("INSERT INTO evolution_leases VALUES (%s, %s)", (os.uname().nodename, str(dead)))

    def renewed(*_):
        with evolution.system.database() as sql:
            sql.execute("UPDATE evolution_leases SET pid = '1'")
        return False

    monkeypatch.setattr(leases, "lives", renewed)
    try:
        with evolution.ports() as ports, ports.database.session() as session:
            found = clear_leases(session, TABLE, [HOST], lambda *_: None)
        count = evolution.value("SELECT count(*) FROM evolution_leases")
    finally:
        with evolution.system.database() as sql:
            sql.execute("DROP TABLE evolution_leases")
    assert found.ended == ()
    assert "it was changed while it was looked at" in found.kept[0]
    assert count == 1
