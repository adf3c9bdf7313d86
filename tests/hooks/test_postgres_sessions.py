"""Sessions of a back-up: no limits of the server's, and an end when the server is dead, silent or gone."""

import os
import secrets
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sandbox.postgres import Cluster
from sandbox.processes import Supervisor
from tdev_operators.core.errors import (
    AccessDeniedError,
    BusyError,
    InputError,
    TargetTimeoutError,
    TargetUnreachableError,
)
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.postgres_sessions import PostgresSource


def _source(conninfo: dict[str, Any], dbname: str = "", **changes: Any) -> PostgresSource:
    values = {
        "host": conninfo["host"],
        "port": conninfo["port"],
        "login": conninfo["user"],
        "password": conninfo["password"],
        "schema": conninfo["dbname"],
    }
    limits = {name: changes.pop(name) for name in ("silence_seconds", "connect_timeout_seconds") if name in changes}
    return PostgresSource(ConnectionFacts("tdev_postgres", "postgres", **{**values, **changes}), dbname, **limits)


@pytest.fixture
def own_cluster(supervisor: Supervisor) -> Iterator[Cluster]:
    cluster = Cluster(supervisor, f"test-sessions-{secrets.token_hex(4)}").start()
    yield cluster
    cluster.stop()


def test_no_limit_of_the_servers_holds_in_a_session(database: dict[str, Any]) -> None:
    names = (
        "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout",
        "transaction_timeout",
    )  # fmt: skip
    with psycopg.connect(**database, autocommit=True) as admin:
        for name in names:
            admin.execute(f"ALTER DATABASE {database['dbname']} SET {name} = '100ms'".encode())
    with _source(database).session(application_name="tdev-test") as session:
        [row] = session.rows(
            "SELECT array_agg(DISTINCT setting) AS limits FROM pg_settings WHERE name = ANY(%(names)s)",
            {"names": list(names)},
        )
        assert row["limits"] == ["0"]
        [row] = session.rows("SELECT application_name, pg_backend_pid() AS pid, current_setting('TimeZone') AS zone "
                             "FROM pg_stat_activity WHERE pid = pg_backend_pid()")  # fmt: skip
        assert row == {"application_name": "tdev-test", "pid": session.pid, "zone": "UTC"}
        session.rows("BEGIN")
        time.sleep(0.3)
        assert session.rows("SELECT 1 AS one") == [{"one": 1}]


def test_another_database_of_the_server(cluster: Cluster, database: dict[str, Any]) -> None:
    source = _source(database, "postgres")
    assert source.name == "postgres"
    with source.session() as session:
        assert session.rows("SELECT current_database() AS name") == [{"name": "postgres"}]


def test_a_session_is_over_with_its_block(database: dict[str, Any]) -> None:
    with _source(database).session() as session:
        pass
    with psycopg.connect(**database, autocommit=True) as admin:
        for _ in range(50):
            if not admin.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [session.pid]).fetchone():
                return
            time.sleep(0.1)
    pytest.fail("the session is still there")


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("SELECT nonsense", InputError),
        ("SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(5)", TargetTimeoutError),
        ("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(5)", TargetUnreachableError),
        ("SET TRANSACTION SNAPSHOT 'nonsense'", InputError),
    ],
)
def test_errors_come_in_our_words(database: dict[str, Any], statement: str, kind: type[Exception]) -> None:
    with _source(database).session() as session, pytest.raises(kind, match=f"^The database {database['dbname']}"):
        session.rows(f"-- a thing.\n{statement}")


def test_a_lock_of_somebody_else_is_busy(database: dict[str, Any]) -> None:
    with psycopg.connect(**database) as other, _source(database).session() as session:
        other.execute("CREATE TABLE t ()")
        other.commit()
        other.execute("LOCK TABLE t")
        session.rows("SET lock_timeout = 100")
        with pytest.raises(BusyError, match="«the rows of t»"):
            session.rows("-- the rows of t\nTABLE t")


def test_a_refused_login_says_so_without_the_password(database: dict[str, Any]) -> None:
    with pytest.raises(AccessDeniedError) as caught, _source(database, password="wrong-horse").session():
        pass
    assert "wrong-horse" not in str(caught.value)
    assert "wrong-horse" not in repr(_source(database, password="wrong-horse"))


def test_nobody_there_is_said_in_time() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        nowhere = {"host": "127.0.0.1", "port": port, "user": "u", "password": "p", "dbname": "d"}
        with pytest.raises(TargetUnreachableError), _source(nowhere).session():
            pass


def test_a_long_statement_is_waited_for(database: dict[str, Any]) -> None:
    with _source(database, silence_seconds=0.1).session() as session:
        assert session.rows("SELECT pg_sleep(0.7)::text AS slept") == [{"slept": ""}]


def test_a_server_that_hangs_ends_in_a_time_out(own_cluster: Cluster, supervisor: Supervisor) -> None:
    source = _source(own_cluster.conninfo(), silence_seconds=0.3, connect_timeout_seconds=1)
    with source.session() as session:
        postmaster = supervisor.children[own_cluster.name].pid
        os.kill(postmaster, signal.SIGSTOP)
        os.kill(session.pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            with pytest.raises(TargetTimeoutError, match="fell silent"):
                session.rows("SELECT 1")
            assert time.monotonic() - started < 30
        finally:
            os.kill(session.pid, signal.SIGCONT)
            os.kill(postmaster, signal.SIGCONT)


def test_a_killed_server_ends_a_statement_at_once(own_cluster: Cluster) -> None:
    with _source(own_cluster.conninfo()).session() as session:
        threading.Timer(0.3, own_cluster.kill).start()
        with pytest.raises(TargetUnreachableError):
            session.rows("SELECT pg_sleep(60)")
        with pytest.raises(TargetUnreachableError):
            session.rows("SELECT 1")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """An interrupt is heard, also where a shell started us in its background and had it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_hangs_up_and_the_server_gives_up(database: dict[str, Any]) -> None:
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    with _source(database).session() as session:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            session.rows("SELECT pg_sleep(60)")
        time.sleep(0.3)
        assert not [thread for thread in threading.enumerate() if thread.name == "tdev-session"]
    with psycopg.connect(**database, autocommit=True) as admin:
        for _ in range(80):  # the server looks every 5 s whether we are still there
            if not admin.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [session.pid]).fetchone():
                return
            time.sleep(0.1)
    pytest.fail("the statement runs on")


def test_two_threads_share_a_session(database: dict[str, Any]) -> None:
    seen = []
    with _source(database).session() as session:
        threads = [
            threading.Thread(
                target=lambda n=n: seen.append(session.rows(f"SELECT {n} AS n, pg_sleep(0.05)::text")[0]["n"])
            )
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(seen) == [0, 1, 2, 3]


def test_client_programs_log_in_by_the_environment(cluster: Cluster, database: dict[str, Any]) -> None:
    with cluster.connect() as admin:
        admin.execute(r"CREATE ROLE sessions_odd LOGIN SUPERUSER PASSWORD 'a:b\c::\\d'")
    try:
        source = _source(database, login="sessions_odd", password=r"a:b\c::\\d")
        with source.environment() as env:
            passfile = Path(env["PGPASSFILE"])
            assert stat.S_IMODE(passfile.stat().st_mode) == 0o600
            assert stat.S_IMODE(passfile.parent.stat().st_mode) == 0o700
            assert not any("a:b" in value for value in env.values())
            dump = subprocess.run(
                [cluster.binaries / "pg_dump", "--schema-only"], env={"PATH": os.environ["PATH"], **env},
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert (dump.returncode, dump.stderr) == (0, "")
        assert not passfile.parent.exists()
    finally:
        with cluster.connect() as admin:
            admin.execute("DROP ROLE sessions_odd")


def test_the_environment_carries_certificates_and_no_empty_password(database: dict[str, Any]) -> None:
    extra = {"sslmode": "verify-full", "sslrootcert": "/ca.pem", "sslpassword": "hush", "cursor": "dictcursor"}
    with _source(database, password="", extra=extra).environment() as env:
        assert "PGPASSFILE" not in env
        service = Path(env["PGSERVICEFILE"])
        assert stat.S_IMODE(service.stat().st_mode) == 0o600
        lines = service.read_text(encoding="utf-8").splitlines()
    assert {"[tdev]", "sslmode=verify-full", "sslrootcert=/ca.pem", "sslpassword=hush"} <= set(lines)
    assert not any(line.startswith("cursor") for line in lines)
    assert "hush" not in " ".join(env.values())
