"""Settings that need a restart: approved, in the window, proven by it; and the way back when the server stays down."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sandbox.postgres import Cluster
from tdev_operators.core.database.tuning.reading import look
from tdev_operators.core.errors import (
    AccessDeniedError,
    CommandFailedError,
    InputError,
    ProofFailedError,
    TargetUnreachableError,
)
from tdev_operators.core.ports import CommandOutput
from tdev_operators.hooks.hosts.local import LocalHost
from tests.core.database.tuning.conftest import SUNDAY

TERABYTE = "MemTotal: 1073741824 kB\nMemAvailable: 1073741824 kB\nHugePages_Free: 0\nHugepagesize: 2048 kB\n"


@dataclass
class Boaster:
    """The host, which claims to have a terabyte of memory; it notes what it was told to run."""

    name: str = "sandbox"
    dead: bool = False
    ran: list = field(default_factory=list)
    real: LocalHost = field(default_factory=lambda: LocalHost("sandbox"))

    def run(self, argv, *, timeout_seconds=30.0, stdin=""):
        self.ran.append(list(argv))
        if argv[-1] == "/proc/meminfo":
            return CommandOutput(0, TERABYTE, "")
        if self.dead:
            raise TargetUnreachableError("The host sandbox cannot be reached.")
        return self.real.run(argv, timeout_seconds=timeout_seconds, stdin=stdin)


def asked(tuned, **more):
    return tuned.request(**{"restart": True, "reload": False, **more})


def test_a_restart_is_approved_done_proven_and_taken_back(tuned):
    request = asked(tuned)
    noted = []
    lines = tuned.step(request, "look")
    assert any(line.startswith("restart of the database's service") for line in lines)
    tuned.step(request, "approve")
    tuned.step(request, "restart", note=lambda event, _: noted.append(event))
    assert noted == ["tuning_set", "tuning_restart"]
    assert tuned.running("shared_buffers") == "160MB"
    assert tuned.copies == [], "nobody needs the copy any more"
    result = tuned.step(request, "result")
    assert result.verdict == "OK"
    assert "shared_buffers is in force, proven; asked for by lead, approved by deputy." in result.summary
    assert tuned.undo(request).verdict == "OK"
    assert tuned.running("shared_buffers") == "128MB"
    assert "shared_buffers" not in tuned.auto


def test_nobody_s_or_the_requester_s_word_is_not_enough(tuned):
    request = asked(tuned)
    tuned.step(request, "look")
    with pytest.raises(AccessDeniedError, match="approved so far: nobody"):
        tuned.step(request, "restart")
    with tuned.run(request) as tuning:
        tuning.note_approvals(["lead"])
        with pytest.raises(AccessDeniedError, match="approved so far: nobody"):
            tuning.restart()
    assert "shared_buffers" not in tuned.auto


@pytest.mark.faults
def test_outside_the_window_it_is_refused_unless_now_was_asked_for(tuned):
    monday = {"clock": lambda: SUNDAY.replace(day=30)}
    with pytest.raises(InputError, match="the maintenance window opens at 2026-12-06 02:00 UTC"):
        tuned.step(asked(tuned), "look", ports=monday)
    assert tuned.all_steps(asked(tuned, now=True), ports=monday).verdict == "OK"


def test_a_window_that_closes_during_the_approval_stops_it(tuned):
    request = asked(tuned)
    tuned.step(request, "look")
    tuned.step(request, "approve")
    with pytest.raises(InputError, match="maintenance window opens"):
        tuned.step(request, "restart", ports={"clock": lambda: SUNDAY.replace(hour=7)})
    assert "shared_buffers" not in tuned.auto


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        (
            "shared_buffers",
            "60GB",
            "With shared_buffers the server takes about 60.* GiB of shared memory, more than 40 %",
        ),
        ("max_connections", 262_143, "With max_connections the server takes about .* of shared memory"),
    ],
)
def test_more_than_the_hosts_memory_is_refused_before_anything_is_touched(tuned, name, value, says):
    host = SmallHost()
    with pytest.raises(InputError, match=says):
        tuned.step(asked(tuned), "look", settings=tuned.settings(database={name: value}), ports={"host": host})
    assert name not in tuned.auto


class SmallHost(LocalHost):
    """A host of 4 GB."""

    def __init__(self):
        super().__init__("sandbox")

    def run(self, argv, *, timeout_seconds=30.0, stdin=""):
        if argv[-1] == "/proc/meminfo":
            return CommandOutput(0, "MemTotal: 4194304 kB\nMemAvailable: 3000000 kB\n", "")
        return super().run(argv, timeout_seconds=timeout_seconds, stdin=stdin)


def test_without_a_service_the_restart_is_only_printed(tuned):
    settings = tuned.settings(database_service="", data_directory="")
    lines = tuned.step(asked(tuned, dry_run=True), "look", settings=settings)
    assert any("Nobody here can restart the server" in line for line in lines)
    with pytest.raises(InputError, match="Nobody here can restart the server"):
        tuned.step(asked(tuned), "look", settings=settings)


@pytest.mark.seeded
@pytest.mark.parametrize(
    "recommended",
    [{"shared_buffers": "300GB"}, {"shared_preload_libraries": "no_such_library"}],
    ids=["memory that is not there", "a library that is missing"],
)
def test_a_server_that_does_not_come_up_gets_its_former_file_back(tuned, recommended):
    [name] = recommended
    with tuned.sql() as sql:
        sql.execute(f"GRANT ALTER SYSTEM ON PARAMETER {name} TO dba")
        sql.execute("ALTER SYSTEM SET temp_buffers = '9MB'")  # what else stands in the file is kept
        sql.execute("SELECT pg_reload_conf()")
    before = tuned.auto
    settings = tuned.settings(database=recommended)
    request = asked(tuned)
    host = {"host": Boaster()}
    for step in ("look", "approve"):
        tuned.step(request, step, settings=settings, ports=host)
    with pytest.raises(ProofFailedError, match=r"did not come up .* The former file is back, and the server runs"):
        tuned.step(request, "restart", settings=settings, ports=host)
    assert tuned.auto == before
    assert tuned.copies == []
    assert tuned.running("temp_buffers") == "9MB"
    result = tuned.step(request, "result")
    assert result.verdict == "CRITICAL"
    assert f"{name} was taken back: The server did not come up" in result.summary
    with pytest.raises(ProofFailedError, match="The former file is back"):  # cleared: it is not tried again by itself
        tuned.step(request, "restart", settings=settings, ports=host)
    assert tuned.running("temp_buffers") == "9MB"


def test_a_poison_that_waited_in_the_file_already_is_not_the_way_back(tuned):
    with tuned.sql() as sql:
        sql.execute("GRANT ALTER SYSTEM ON PARAMETER shared_preload_libraries TO dba")
        sql.execute("ALTER SYSTEM SET shared_preload_libraries = 'no_such_library'")
    settings = tuned.settings(database={"shared_preload_libraries": "no_such_library"})
    with pytest.raises(ProofFailedError, match="The former file is back, and the server runs with it"):
        tuned.all_steps(asked(tuned), settings=settings)
    assert "no_such_library" not in tuned.auto
    assert tuned.running("shared_preload_libraries") == ""


def test_what_somebody_else_left_waiting_for_a_restart_is_not_brought_in_with_ours(tuned):
    with tuned.sql() as sql:
        sql.execute("ALTER SYSTEM SET max_worker_processes = 9")
    with pytest.raises(InputError, match="max_worker_processes = '9' waits in the files for a restart too"):
        tuned.step(asked(tuned), "look")


@pytest.mark.faults
def test_what_runs_already_needs_no_restart(tuned):
    """Somebody took it out of the file since the last restart."""
    assert tuned.all_steps(asked(tuned)).verdict == "OK"
    with tuned.sql() as sql:
        sql.execute("ALTER SYSTEM RESET shared_buffers")
    started_at = tuned.seen().server.started_at
    assert tuned.all_steps(tuned.request(names=("shared_buffers",))).verdict == "OK"
    assert "shared_buffers = '160MB'" in tuned.auto
    assert tuned.seen().server.started_at == started_at


@pytest.mark.faults
def test_a_server_that_stays_down_with_its_former_file_too_is_said_loudly_and_a_retry_goes_on(tuned):
    with tuned.sql() as sql:
        sql.execute("GRANT ALTER SYSTEM ON PARAMETER shared_preload_libraries TO dba")
    settings = tuned.settings(database={"shared_preload_libraries": "no_such_library"})
    request = asked(tuned)
    for step in ("look", "approve"):
        tuned.step(request, step, settings=settings)
    broken = tuned.cluster.data / "postgresql.conf"
    whole = broken.read_text(encoding="utf-8")

    def spoil(line):
        if "goes back" in line:
            broken.write_text(f"{whole}\nno_such_setting = 1\n", encoding="utf-8")

    with pytest.raises(CommandFailedError, match=r"Nor does it come up with its former file .* The former file is /"):
        tuned.step(request, "restart", settings=settings, progress=spoil)
    assert "being put back" in tuned.step(request, "result").summary
    assert len(tuned.copies) == 1
    broken.write_text(whole, encoding="utf-8")
    with pytest.raises(ProofFailedError, match="The former file is back, and the server runs with it"):
        tuned.step(request, "restart", settings=settings)
    assert tuned.copies == []


def test_what_the_program_cannot_read_is_taken_back_without_a_restart(tuned):
    started_at = tuned.seen().server.started_at
    trial = ("sh", "-c", "echo 'invalid value' >&2; exit 1", "{name}")
    request = asked(tuned)
    with pytest.raises(ProofFailedError, match=r"cannot be read with this \(invalid value\); it is taken back"):
        tuned.all_steps(request, settings=tuned.settings(trial=trial))
    assert "shared_buffers" not in tuned.auto
    assert tuned.copies == []
    assert tuned.seen().server.started_at == started_at
    tuned.step(request, "restart")
    assert tuned.running("shared_buffers") == "160MB", "cleared after that was mended, it goes on"


def test_a_host_that_is_away_is_waited_for(tuned):
    request = asked(tuned)
    host = Boaster()
    for step in ("look", "approve"):
        tuned.step(request, step, ports={"host": host})
    host.dead = True
    with pytest.raises(TargetUnreachableError):
        tuned.step(request, "restart", ports={"host": host})
    assert tuned.running("shared_buffers") == "128MB"
    host.dead = False
    tuned.step(request, "restart", ports={"host": host})
    assert tuned.running("shared_buffers") == "160MB"


def test_a_server_that_was_left_down_in_the_middle_of_its_restart_is_started(tuned):
    request = asked(tuned)
    for step in ("look", "approve"):
        tuned.step(request, step)

    class CutError(Exception):
        pass

    def cut(line):
        if "told to restart" in line:
            raise CutError

    halfway = tuned.settings(service_restart=tuple(tuned.units.command("stop")))
    with pytest.raises(CutError):
        tuned.step(request, "restart", settings=halfway, progress=cut)
    assert not tuned.cluster.running
    tuned.step(request, "restart")
    assert tuned.running("shared_buffers") == "160MB"
    assert tuned.step(request, "result").verdict == "OK"


@pytest.mark.seeded
@pytest.mark.parametrize("event", ["tuning_set", "tuning_restart"])
def test_killed_before_a_step_the_retry_finishes(tuned, event):
    request = asked(tuned)
    for step in ("look", "approve"):
        tuned.step(request, step)
    environment = {**os.environ, **tuned.environment, "TDEV_SETTINGS": str(tuned.settings_file)}
    program = Path(__file__).with_name("killed_restart.py")
    ended = subprocess.run(
        [sys.executable, program, request.tuning_id, event],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    tuned.step(request, "restart")
    assert tuned.running("shared_buffers") == "160MB"
    assert tuned.undo(request).verdict == "OK"
    assert tuned.running("shared_buffers") == "128MB"


def test_killed_before_the_way_back_the_retry_takes_it(tuned, tmp_path):
    with tuned.sql() as sql:
        sql.execute("GRANT ALTER SYSTEM ON PARAMETER shared_preload_libraries TO dba")
    poison = {"shared_preload_libraries": "no_such_library"}
    settings = tuned.settings(database=poison)
    request = asked(tuned)
    for step in ("look", "approve"):
        tuned.step(request, step, settings=settings)
    environment = {**os.environ, **tuned.environment, "TDEV_SETTINGS": str(tuned.settings_file)}
    program = Path(__file__).with_name("killed_restart.py")
    argv = [sys.executable, program, request.tuning_id, "tuning_way_back"]
    ended = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert not tuned.cluster.running
    with pytest.raises(ProofFailedError, match="The former file is back, and the server runs with it"):
        tuned.step(request, "restart", settings=settings)
    assert "no_such_library" not in tuned.auto
    assert tuned.running("work_mem") == "4MB"


@pytest.fixture
def standby(tuned, supervisor):
    """A standby of the server, with its `max_connections`."""
    made = Cluster(supervisor, "tuned-standby")
    info = tuned.cluster.conninfo()
    made.folder.mkdir(mode=0o700)
    environment = {**os.environ, "PGPASSWORD": info["password"]}
    reached = f"host={info['host']} port={info['port']} user=postgres dbname=postgres password={info['password']}"
    argv = [made.binaries / "pg_basebackup", "-D", made.data, "-d", reached, "-R", "--checkpoint=fast"]
    subprocess.run(argv, check=True, env=environment, capture_output=True)
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", "nobody", made.folder], check=True)
    made._passwords = dict(tuned.cluster._passwords)
    made.start()
    with tuned.sql() as sql:
        while not sql.execute("SELECT 1 FROM pg_stat_replication WHERE replay_lsn IS NOT NULL").fetchone():
            pass
    yield made
    made.stop()


@pytest.mark.faults
def test_a_raised_max_connections_goes_to_standbys_first(tuned, standby):
    settings = tuned.settings(database={"max_connections": 220})
    with pytest.raises(InputError, match=r"follow this server and tuning.standby_connections lists 0"):
        tuned.step(asked(tuned), "look", settings=settings)
    info = standby.conninfo("t_developer", user="dba")
    connection = {
        "conn_type": "postgres",
        "host": info["host"],
        "port": info["port"],
        "login": "dba",
        "password": info["password"],
        "schema": "t_developer",
    }
    known = {**tuned.environment, "AIRFLOW_CONN_TDEV_STANDBY": json.dumps(connection)}
    type(tuned).environment, kept = property(lambda _: known), type(tuned).environment
    try:
        settings = tuned.settings(database={"max_connections": 220}, standby_connections=("tdev_standby",))
        with pytest.raises(InputError, match="The standby tdev_standby has max_connections = 200; raise it to 220"):
            tuned.step(asked(tuned), "look", settings=settings)
        standby._settings["max_connections"] = "220"
        standby.restart()
        lines = tuned.step(asked(tuned), "look", settings=settings)
        assert any("max_connections" in line for line in lines)
        lowered = tuned.settings(database={"max_connections": 150}, standby_connections=("tdev_standby",))
        assert tuned.step(asked(tuned), "look", settings=lowered), "a lowered one goes to the primary first"
    finally:
        type(tuned).environment = kept


def test_the_trial_reads_the_files_as_the_server_would(tuned):
    """The shipped `trial` is this program with these words; it works as root too, and on a server that runs."""
    with tuned.source.session() as session:
        assert look(session).running["shared_buffers"].setting == "16384"
    argv = [str(tuned.cluster.binaries / "postgres"), "-C", "shared_buffers", "-D", str(tuned.cluster.data)]
    assert LocalHost("here").run(argv).exit_status == 0
    broken = tuned.cluster.data / "sandbox.conf"
    whole = broken.read_text(encoding="utf-8")
    broken.write_text(f"{whole}shared_buffers = 'plenty'\n", encoding="utf-8")
    try:
        assert LocalHost("here").run(argv).exit_status == 1
    finally:
        broken.write_text(whole, encoding="utf-8")


def test_another_servers_file_is_no_way_back(tuned, tmp_path):
    (tmp_path / "postgresql.auto.conf").write_text("", encoding="utf-8")
    started = tuned.running("max_connections")
    settings = tuned.settings(database={"max_connections": 90}, data_directory=str(tmp_path))
    request = asked(tuned)
    for step in ("look", "approve"):
        tuned.step(request, step, settings=settings)
    with pytest.raises(InputError, match=r"which is not in tuning\.data_directory"):
        tuned.step(request, "restart", settings=settings)
    assert "max_connections" not in tuned.auto
    assert tuned.running("max_connections") == started
