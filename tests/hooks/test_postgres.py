"""PostgreSQL: against a real server, and against ends that are dead, silent, or something else."""

import contextlib
import os
import pickle
import secrets
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from sandbox.postgres import Cluster
from tdev_operators.core.errors import (
    AccessDeniedError,
    BusyError,
    GarbledAnswerError,
    InputError,
    SetupMissingError,
    TargetTimeoutError,
    TargetUnreachableError,
    TdevError,
)
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.postgres import PROBE_APPLICATION_NAME, PostgresCredentialProbe, PostgresDatabase

Said = Callable[[BaseException], str]


def _facts(conninfo: dict[str, Any], **changes: Any) -> ConnectionFacts:
    values = {
        "host": conninfo["host"],
        "port": conninfo["port"],
        "login": conninfo["user"],
        "password": conninfo["password"],
        "schema": conninfo["dbname"],
    }
    return ConnectionFacts("tdev_postgres", "postgres", **{**values, **changes})


@pytest.fixture
def asked(database: dict[str, Any]) -> PostgresDatabase:
    return PostgresDatabase(_facts(database), statement_timeout_seconds=5)


@pytest.fixture
def role(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """A login role without any right, and its password."""
    name, password = f"role_{secrets.token_hex(6)}", secrets.token_urlsafe(12)
    with cluster.connect() as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'".encode())
    yield name, password
    with cluster.connect() as connection:
        connection.execute(f"DROP ROLE {name}".encode())


def test_rows_come_as_dictionaries_with_aware_times_in_utc(asked: PostgresDatabase) -> None:
    statement = (
        "-- One row.\nSELECT %(n)s::int AS n, 1.50 AS amount, timestamptz '2026-11-23 10:00+01' AS at, '5%%' AS p"
    )
    expected = {"n": 7, "amount": Decimal("1.50"), "at": datetime(2026, 11, 23, 9, tzinfo=UTC), "p": "5%"}
    assert asked.rows(statement, {"n": 7}) == [expected]
    assert asked.rows(statement, {"n": 7})[0]["at"].utcoffset() == timedelta(0)


def test_a_statement_without_binds_runs_as_it_stands_in_psql(asked: PostgresDatabase) -> None:
    assert asked.rows("SELECT '5%' AS share, 7 % 4 AS rest") == [{"share": "5%", "rest": 3}]


def test_the_name_is_the_databases(asked: PostgresDatabase, database: dict[str, Any]) -> None:
    assert asked.name == database["dbname"]


def test_nothing_can_be_written(asked: PostgresDatabase) -> None:
    with pytest.raises(InputError, match=r"cannot execute CREATE TABLE in a read-only transaction, SQLSTATE 25006"):
        asked.rows("CREATE TABLE t (i int)")


def test_our_sessions_carry_their_name_and_their_limits(asked: PostgresDatabase) -> None:
    [row] = asked.rows(
        "SELECT current_setting('application_name') AS name, current_setting('statement_timeout') AS statement, "
        "current_setting('lock_timeout') AS lock, current_setting('transaction_read_only') AS read_only"
    )
    assert row == {"name": "tdev-maintenance", "statement": "5s", "lock": "2s", "read_only": "on"}


@pytest.mark.parametrize(
    ("statement", "params", "error", "said"),
    [
        ("SELECT pg_sleep(30)", None, TargetTimeoutError, r"did not answer within 0\.5 s"),
        ("SELEC 1", None, InputError, r"syntax error at or near \"SELEC\", SQLSTATE 42601"),
        ("SELECT * FROM nowhere", None, InputError, r"relation \"nowhere\" does not exist, SQLSTATE 42P01"),
        ("SELECT 1/0", None, InputError, r"division by zero"),
        ("SELECT %(absent)s", {}, InputError, r"query parameter missing: absent"),
        ("DO $$ BEGIN RAISE 'x' USING ERRCODE = 'XX001'; END $$", None, GarbledAnswerError, r"fault inside"),
        ("DO $$ BEGIN RAISE 'x' USING ERRCODE = '40P01'; END $$", None, BusyError, r"lock of somebody else"),
        ("DO $$ BEGIN RAISE 'x' USING ERRCODE = '53100'; END $$", None, BusyError, r"short of a resource"),
        ("SELECT pg_terminate_backend(pg_backend_pid())", None, TargetUnreachableError, r"broke the connection off"),
    ],
)
def test_each_kind_of_refusal_has_its_own_error(
    database: dict[str, Any], statement: str, params: dict[str, Any] | None, error: type[TdevError], said: str
) -> None:
    asked = PostgresDatabase(_facts(database), statement_timeout_seconds=0.5)
    with pytest.raises(error, match=said) as caught:
        asked.rows(f"-- What we look for.\n{statement}", params)
    assert str(caught.value).startswith(f"The database {database['dbname']}, asked for «What we look for»,")
    assert pickle.loads(pickle.dumps(caught.value)).args == caught.value.args


def test_a_lock_of_somebody_else_is_not_waited_for_long(database: dict[str, Any]) -> None:
    asked = PostgresDatabase(_facts(database), statement_timeout_seconds=20)
    with psycopg.connect(**database) as holder:
        holder.execute("CREATE TABLE held (i int)")
        holder.commit()
        holder.execute("LOCK TABLE held IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(BusyError, match="canceling statement due to lock timeout"):
            asked.rows("SELECT * FROM held")


def test_a_missing_right_is_named(database: dict[str, Any], role: tuple[str, str], everything_said: Said) -> None:
    name, password = role
    with psycopg.connect(**database, autocommit=True) as owner:
        owner.execute("CREATE TABLE private (i int)")
        owner.execute(f"GRANT CONNECT ON DATABASE {database['dbname']} TO {name}".encode())
        asked = PostgresDatabase(_facts(database, login=name, password=password))
        with pytest.raises(AccessDeniedError, match=f"refused the user {name} .permission denied for table") as caught:
            asked.rows("SELECT * FROM private")
        owner.execute(f"REVOKE CONNECT ON DATABASE {database['dbname']} FROM {name}".encode())
    assert password not in everything_said(caught.value)


def test_a_wrong_password_is_refused_once_and_never_shown(database: dict[str, Any], everything_said: Said) -> None:
    facts = _facts(database, password="WrongPassw0rd%")
    asked = PostgresDatabase(facts)
    for _ in range(3):
        with pytest.raises(AccessDeniedError, match="refused the user postgres; mend login and password") as caught:
            asked.rows("SELECT 1")
        said = everything_said(caught.value) + repr(asked) + str(facts)
        assert "WrongPassw0rd" not in said
    assert "tdev_postgres" in str(caught.value)


def test_a_database_that_does_not_exist_is_an_input_error(database: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"^The database nowhere at 127\.0\.0\.1:\d+ does not exist; mend"):
        PostgresDatabase(_facts(database, schema="nowhere")).rows("SELECT 1")


def test_a_connection_without_a_host_is_said_to_be_so() -> None:
    with pytest.raises(SetupMissingError, match="names no host"):
        PostgresDatabase(ConnectionFacts("tdev_postgres")).rows("SELECT 1")


def test_a_server_that_is_down_is_unreachable_at_once(database: dict[str, Any], free_port: int) -> None:
    asked = PostgresDatabase(_facts(database, port=free_port))
    started = time.monotonic()
    with pytest.raises(TargetUnreachableError, match=r"cannot be reached .*Connection refused"):
        asked.rows("SELECT 1")
    assert time.monotonic() - started < 3


def test_a_host_name_that_does_not_exist_is_unreachable(database: dict[str, Any]) -> None:
    with pytest.raises((TargetUnreachableError, TargetTimeoutError), match=r"at nowhere\.invalid:\d+"):
        PostgresDatabase(_facts(database, host="nowhere.invalid"), connect_timeout_seconds=2).rows("SELECT 1")


def test_fifteen_checks_on_a_silent_server_cost_one_time_limit(database: dict[str, Any], silent: Any) -> None:
    asked = PostgresDatabase(_facts(database, port=silent.port), connect_timeout_seconds=1)
    errors: list[TdevError] = []

    def check() -> None:
        try:
            asked.rows("SELECT 1")
        except TdevError as error:
            errors.append(error)

    started = time.monotonic()
    threads = [threading.Thread(target=check) for _ in range(15)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - started < 8  # 15 s were the sum
    assert [type(error) for error in errors] == [TargetTimeoutError] * 15
    assert silent.accepted <= 4
    assert "did not answer within 1 s; see whether it runs" in str(errors[0])


def test_what_speaks_another_protocol_is_garbled(database: dict[str, Any], listen: Any) -> None:
    def http(line: socket.socket) -> None:
        line.recv(1024)
        line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        line.close()

    port = listen(http).port
    with pytest.raises(GarbledAnswerError, match="does not speak PostgreSQL"):
        PostgresDatabase(_facts(database, port=port)).rows("SELECT 1")


@pytest.fixture
def own_cluster(supervisor: Any) -> Iterator[Cluster]:
    cluster = Cluster(supervisor, f"cluster-{secrets.token_hex(4)}", settings={"max_connections": "8"}).start()
    yield cluster
    cluster.stop(mode="immediate")


def test_a_server_that_falls_silent_in_the_middle_costs_a_little_more_than_its_limit(database: dict[str, Any]) -> None:
    asked = PostgresDatabase(_facts(database), statement_timeout_seconds=1)
    errors: list[Exception] = []

    def check() -> None:
        try:
            asked.rows("-- Naps.\nSELECT pg_sleep(30)")
        except TdevError as error:
            errors.append(error)

    started = time.monotonic()
    thread = threading.Thread(target=check)
    thread.start()
    with psycopg.connect(**database, autocommit=True) as observer:
        pid = None
        while pid is None and time.monotonic() < started + 10:
            found = observer.execute(
                "SELECT pid FROM pg_stat_activity WHERE query LIKE '-- Naps.%' AND datname = current_database()"
                " AND pid <> pg_backend_pid()"
            ).fetchone()
            pid = found[0] if found else None
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)  # the kernel still answers for it, so no TCP time limit notices
        try:
            thread.join(20)
        finally:
            os.kill(pid, signal.SIGCONT)
    assert not thread.is_alive()
    assert time.monotonic() - started < 12
    [error] = errors
    assert isinstance(error, TargetTimeoutError)
    assert "fell silent and did not answer «Naps» within 3 s" in str(error)


def test_no_more_connections_than_allowed_are_open_at_once(database: dict[str, Any]) -> None:
    asked = PostgresDatabase(_facts(database), max_connections=2, application_name="tdev-count")
    seen: list[int] = []

    def check() -> None:
        [row] = asked.rows(
            "SELECT count(*) AS n, pg_sleep(0.05) FROM pg_stat_activity WHERE application_name = 'tdev-count'"
        )
        seen.append(row["n"])

    threads = [threading.Thread(target=check) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 10
    assert max(seen) <= 2


def test_a_full_server_is_busy_and_so_no_proof_of_a_refused_password(own_cluster: Cluster) -> None:
    facts = _facts(own_cluster.conninfo())
    held: list[psycopg.Connection] = []
    try:
        with contextlib.suppress(psycopg.OperationalError):
            while len(held) < 20:
                held.append(own_cluster.connect())
        with pytest.raises(BusyError, match="has no free connection"):
            PostgresDatabase(facts).rows("SELECT 1")
        with pytest.raises(BusyError):
            PostgresCredentialProbe(facts).database_accepts("postgres", "postgres")
    finally:
        for connection in held:
            connection.close()
    own_cluster.stop()
    with pytest.raises(TargetUnreachableError):
        PostgresCredentialProbe(facts).database_accepts("postgres", "postgres")


def test_the_probe_tells_right_from_wrong_passwords(database: dict[str, Any], role: tuple[str, str]) -> None:
    probe = PostgresCredentialProbe(_facts(database))
    name, password = role
    assert probe.database_accepts("postgres", database["password"])
    assert not probe.database_accepts("postgres", "postgres")
    assert not probe.database_accepts("postgres", "")
    assert not probe.database_accepts("nobody_of_that_name", "postgres")
    assert not probe.database_accepts(name, "wrong")
    # The role may not enter this database, but its password was right: that is what is to be found out.
    assert probe.database_accepts(name, password)


def test_the_probe_does_not_use_a_password_of_ours(
    database: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    passfile = tmp_path / "pgpass"
    passfile.write_text(f"*:*:*:*:{database['password']}\n")
    passfile.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passfile))
    monkeypatch.setenv("PGPASSWORD", database["password"])
    assert not PostgresCredentialProbe(_facts(database)).database_accepts("postgres", "")


def test_the_probe_is_marked_as_ours(database: dict[str, Any], listen: Any) -> None:
    packets: list[bytes] = []

    def read_startup(line: socket.socket) -> None:
        first = line.recv(8)
        if struct.unpack("!II", first)[1] in (80877103, 80877104):  # it asks for TLS or GSS first
            line.sendall(b"N")
            first = line.recv(8)
        packets.append(first + line.recv(4096))
        line.close()

    facts = _facts(database, port=listen(read_startup).port)
    with pytest.raises(TargetUnreachableError):
        PostgresCredentialProbe(facts).database_accepts("postgres", "postgres")
    assert b"application_name\0" + PROBE_APPLICATION_NAME.encode() + b"\0" in packets[0]


def test_a_silent_server_costs_the_probe_one_time_limit(database: dict[str, Any], silent: Any) -> None:
    probe = PostgresCredentialProbe(_facts(database, port=silent.port), connect_timeout_seconds=1)
    started = time.monotonic()
    for password in ("postgres", "password", "admin", "secret"):
        with pytest.raises(TargetTimeoutError):
            probe.database_accepts("postgres", password)
    assert time.monotonic() - started < 4
