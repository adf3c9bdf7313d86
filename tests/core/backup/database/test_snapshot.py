"""The snapshot: held still while tables come, go, are truncated and altered around it."""

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from sandbox.postgres import Cluster
from sandbox.processes import Supervisor
from tdev_operators.core.backup.database.snapshot import held_snapshot
from tdev_operators.core.errors import AccessDeniedError, BusyError, InputError
from tdev_operators.hooks.postgres_sessions import PostgresSource

SourceOf = Callable[..., PostgresSource]


@pytest.fixture
def filled(admin: psycopg.Connection) -> psycopg.Connection:
    admin.execute("CREATE TABLE t (i int); INSERT INTO t VALUES (1), (2), (3); CREATE TABLE u (i int)")
    return admin


@contextlib.contextmanager
def _in_background(conninfo: dict[str, Any], *statements: str, name: str = "app") -> Iterator[None]:
    """Run statements that wait for a lock; give them time to start, and end them afterwards."""
    connection = psycopg.connect(**conninfo, autocommit=True, application_name=name)

    def work() -> None:
        with contextlib.suppress(psycopg.Error):
            for statement in statements:
                connection.execute(statement.encode())

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.3)
    try:
        yield
    finally:
        with psycopg.connect(**conninfo, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
        thread.join(timeout=10)
        connection.close()


def test_other_sessions_see_what_the_snapshot_saw(source: PostgresSource, filled: psycopg.Connection) -> None:
    before = datetime.now(UTC)
    with held_snapshot(source, lock_wait_seconds=5) as held:
        filled.execute("INSERT INTO t VALUES (4)")
        assert held.session.rows("SELECT count(*) FROM public.t") == [{"count": 3}]
        with source.session() as other:
            other.rows("BEGIN ISOLATION LEVEL REPEATABLE READ")
            other.rows(f"SET TRANSACTION SNAPSHOT '{held.id}'")
            assert other.rows("SELECT count(*) FROM t") == [{"count": 3}]
        assert before <= held.at <= datetime.now(UTC)
        assert held.lsn.partition("/")[1] == "/"
        assert held.system_identifier == str(
            filled.execute("SELECT system_identifier FROM pg_control_system()").fetchone()[0]
        )  # type: ignore[index]
        assert [table.name for table in held.catalogue.tables] == ["t", "u"]
        assert held.alive()
        held.check_blocked(0)


def test_a_held_table_cannot_be_truncated_nor_altered(source: PostgresSource, filled: psycopg.Connection) -> None:
    filled.execute("SET lock_timeout = 100")
    with held_snapshot(source, lock_wait_seconds=5):
        for statement in ("TRUNCATE t", "DROP TABLE t", "ALTER TABLE t ALTER i TYPE text"):
            with pytest.raises(psycopg.errors.LockNotAvailable):
                filled.execute(statement.encode())
    filled.execute("TRUNCATE t")


def test_without_locks_first_the_dump_would_be_empty_and_agree(
    source: PostgresSource, filled: psycopg.Connection, cluster: Cluster
) -> None:
    with source.session() as holder, source.environment() as env:
        holder.rows("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        [exported] = holder.rows("SELECT pg_export_snapshot() AS id")
        filled.execute("TRUNCATE t")
        done = subprocess.run(
            [cluster.binaries / "pg_dump", "--data-only", "-t", "t", "--inserts", "--snapshot", exported["id"]],
            capture_output=True, text=True, check=False, env={**os.environ, **env},
        )  # fmt: skip
        assert (done.returncode, "INSERT" in done.stdout) == (0, False)
        assert holder.rows("SELECT count(*) FROM t") == [{"count": 0}]


def test_a_truncate_that_commits_while_we_wait_for_its_lock_is_seen_whole(
    source: PostgresSource, filled: psycopg.Connection, database: dict[str, Any]
) -> None:
    with psycopg.connect(**database) as writer:

        def meddle() -> None:
            writer.execute("TRUNCATE t")
            writer.execute("INSERT INTO u VALUES (7)")
            threading.Timer(0.5, writer.commit).start()

        with held_snapshot(source, lock_wait_seconds=5, before_lock=meddle) as held:
            seen = held.session.rows(
                "SELECT (SELECT count(*) FROM public.t) AS t, (SELECT count(*) FROM public.u) AS u"
            )
    assert seen == [{"t": 0, "u": 1}]


@pytest.mark.parametrize(
    ("statement", "tables"),
    [
        ("TRUNCATE t", ["t", "u"]),
        ("CREATE TABLE v (i int)", ["t", "u", "v"]),
        ("DROP TABLE t", ["u"]),
        ("ALTER TABLE t RENAME TO w", ["u", "w"]),
        ("DROP TABLE t; CREATE TABLE t (j text)", ["t", "u"]),
    ],
)
def test_what_changes_between_list_and_lock_is_noticed(
    source: PostgresSource, filled: psycopg.Connection, statement: str, tables: list[str]
) -> None:
    statements = iter([statement])

    def meddle() -> None:
        for each in statements:
            filled.execute(each.encode())

    with held_snapshot(source, lock_wait_seconds=5, before_lock=meddle) as held:
        assert [table.name for table in held.catalogue.tables] == tables
        locked = filled.execute(
            "SELECT relation::regclass::text FROM pg_locks WHERE pid = %s AND mode = 'AccessShareLock' "
            "AND relation >= 16384 ORDER BY 1", [held.session.pid],
        ).fetchall()  # fmt: skip
        assert [name for (name,) in locked] == tables


def test_a_column_that_is_added_between_list_and_lock_is_in_the_catalogue(
    source: PostgresSource, filled: psycopg.Connection
) -> None:
    meddle = iter(["ALTER TABLE t ADD j int"])
    with held_snapshot(
        source, lock_wait_seconds=5, before_lock=lambda: [filled.execute(each.encode()) for each in meddle] and None
    ) as held:
        assert [column.name for column in held.catalogue.tables[0].columns] == ["i", "j"]


def test_tables_that_never_stand_still_are_given_up(source: PostgresSource, filled: psycopg.Connection) -> None:
    names = iter(range(100))
    said: list[str] = []
    with (
        pytest.raises(BusyError, match=r"came and went during 5 attempts"),
        held_snapshot(
            source,
            lock_wait_seconds=5,
            progress=said.append,
            before_lock=lambda: filled.execute(f"CREATE TABLE n{next(names)} ()".encode()) and None,
        ),
    ):
        pass
    assert len(said) == 4


def test_a_lock_that_is_not_to_be_had_ends_in_time(
    source: PostgresSource, filled: psycopg.Connection, database: dict[str, Any]
) -> None:
    with psycopg.connect(**database) as other:
        other.execute("LOCK TABLE u IN ACCESS EXCLUSIVE MODE")
        started = time.monotonic()
        with pytest.raises(BusyError), held_snapshot(source, lock_wait_seconds=0.4):
            pass
    assert time.monotonic() - started < 3


def test_who_waits_behind_us_and_behind_them_is_named(
    source: PostgresSource, filled: psycopg.Connection, database: dict[str, Any]
) -> None:
    with held_snapshot(source, lock_wait_seconds=5) as held:
        held.check_blocked(0)
        with (
            _in_background(database, "ALTER TABLE t ADD k int", name="migration"),
            _in_background(database, "SELECT * FROM t", name="web"),
        ):
            held.check_blocked(60)
            with pytest.raises(BusyError, match=r"2 sessions .*\(migration, public\.t .*\(web, public\.t ") as caught:
                held.check_blocked(0.2)
            assert "waits since" in str(caught.value)


def test_who_waits_behind_somebody_else_is_no_business_of_ours(
    source: PostgresSource, filled: psycopg.Connection, database: dict[str, Any]
) -> None:
    with held_snapshot(source, lock_wait_seconds=5) as held, psycopg.connect(**database) as other:
        other.execute("LOCK TABLE t IN SHARE MODE")
        with _in_background(database, "INSERT INTO t VALUES (9)"):
            held.check_blocked(0)


def test_a_lost_holder_is_not_alive(source: PostgresSource, filled: psycopg.Connection) -> None:
    with held_snapshot(source, lock_wait_seconds=5) as held:
        filled.execute("SELECT pg_terminate_backend(%s)", [held.session.pid])
        time.sleep(0.2)
        assert not held.alive()


def test_a_table_that_may_not_be_read_is_refused(
    cluster: Cluster, database: dict[str, Any], filled: psycopg.Connection, make_source: SourceOf
) -> None:
    cluster.create_role("snapshot_stranger")
    try:
        filled.execute("GRANT CONNECT ON DATABASE {} TO snapshot_stranger".format(database["dbname"]).encode())
        stranger = make_source(cluster.conninfo(database["dbname"], user="snapshot_stranger"))
        with pytest.raises(AccessDeniedError), held_snapshot(stranger, lock_wait_seconds=5):
            pass
    finally:
        filled.execute("DROP OWNED BY snapshot_stranger; DROP ROLE snapshot_stranger")


def test_nothing_is_held_afterwards(source: PostgresSource, filled: psycopg.Connection) -> None:
    with contextlib.suppress(ZeroDivisionError), held_snapshot(source, lock_wait_seconds=5):
        raise ZeroDivisionError
    time.sleep(0.2)
    left = filled.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tdev-backup' "
                          "AND datname = current_database()").fetchone()  # fmt: skip
    assert left == (0,)


def test_a_standby_is_refused(supervisor: Supervisor, make_source: SourceOf) -> None:
    standby = Cluster(supervisor, "dump-standby").start()
    try:
        standby.stop()
        (standby.data / "standby.signal").touch(mode=0o644)
        standby.start()
        with (
            pytest.raises(InputError, match="is a standby"),
            held_snapshot(make_source(standby.conninfo()), lock_wait_seconds=5),
        ):
            pass
    finally:
        standby.stop()
