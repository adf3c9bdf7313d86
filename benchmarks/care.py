"""Thursday's care against the guide's `REINDEX TABLE` and `VACUUM ANALYZE`, beside writers; a survey of thousands."""

import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import psycopg

from benchmarks.table import Row
from sandbox.postgres import Cluster, binaries_of_debian
from sandbox.processes import SandboxError, Supervisor
from tdev_operators.core.database.care.indexes import survey_indexes
from tdev_operators.core.database.care.run import care_for_database
from tdev_operators.core.database.care.tables import survey
from tdev_operators.core.database.ports import CarePorts
from tdev_operators.core.items import ItemRef
from tdev_operators.core.settings import Settings, load_settings
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.postgres_sessions import PostgresSource

_ROWS = 1_000_000
_WRITES_A_SECOND = 100
_WAIT_SECONDS = 0.1
_TABLES, _INDEXES_A_TABLE = 5_000, 4
_MIB = 1024 * 1024
_GUIDE = ("REINDEX TABLE agents", "REINDEX TABLE evolution_history", "VACUUM ANALYZE")


def rows(*, scale: float | None = None) -> Iterator[Row]:
    """Yield the table's rows; `scale` (default: `TDEV_BENCH_SCALE`, or 1) is a share of a million rows a table."""
    scale = float(os.environ.get("TDEV_BENCH_SCALE", "1")) if scale is None else scale
    with _server() as cluster:
        yield from _thursday(cluster, round(_ROWS * scale))
        yield from _finding(cluster, round(_TABLES * min(scale, 1)))


@contextmanager
def _server() -> Iterator[Cluster]:
    """Yield Debian's PostgreSQL, which can measure indexes."""
    supervisor = Supervisor()
    try:
        programs = binaries_of_debian()
        if programs is None:
            raise SandboxError("This benchmark needs Debian's PostgreSQL: apt-get install postgresql-contrib.")
        cluster = Cluster(supervisor, "bench-care", settings={"autovacuum": "off", "max_wal_size": "4GB"})
        cluster.binaries = programs
        yield cluster.start()
    finally:
        supervisor.close()


def _thursday(cluster: Cluster, count: int) -> Iterator[Row]:
    ours = _measured(cluster, count, _ours)
    theirs = _measured(cluster, count, _theirs)
    name = f"Thursday's optimisation, 2 of 20 indexes bloated, {count:,} rows a table, {_WRITES_A_SECOND} writes/s"
    yield Row(name, ours.seconds, "the guide's REINDEX TABLE + VACUUM ANALYZE", theirs.seconds, 1, at_most=1 / 3)
    yield Row(
        "  writes that waited for a lock over 100 ms", ours.waits, "the guide's", theirs.waits or 1, 1, 0, unit=""
    )
    yield Row("  p99 of a write", ours.p99 * 1e3, "the guide's", theirs.p99 * 1e3, 1, unit="ms")


@dataclass
class _Beside:
    """What the writers felt."""

    seconds: float = 0.0
    waits: int = 0
    latencies: list[float] = field(default_factory=list)

    @property
    def p99(self) -> float:
        return sorted(self.latencies)[int(0.99 * (len(self.latencies) - 1))]


def _measured(cluster: Cluster, count: int, work: Callable[[Cluster], None]) -> _Beside:
    cluster.create_database("bench")
    try:
        with cluster.connect("bench") as connection:
            for table in ("agents", "evolution_history"):
                _fill(connection, table, count)
            connection.execute("CREATE EXTENSION pgstattuple; CHECKPOINT")
        with _writers(cluster) as beside:
            began = time.perf_counter()
            work(cluster)
            beside.seconds = time.perf_counter() - began
        return beside
    finally:
        cluster.drop_database("bench")


def _fill(connection: psycopg.Connection, table: str, count: int) -> None:
    """Make a table with ten indexes, one of which is nine tenths empty."""
    connection.execute(f"CREATE TABLE {table} (id int, a int, b int, c int, d text, at timestamptz DEFAULT now())")
    # The bloated one holds what was there first; most of that is gone before the others are made.
    connection.execute(f"INSERT INTO {table} SELECT -i, i, i, i, 'gone' FROM generate_series(1, {count}) AS i")
    connection.execute(f"CREATE INDEX {table}_bloated ON {table} (a)")
    connection.execute(f"DELETE FROM {table} WHERE a % 10 <> 0")
    connection.execute(f"VACUUM (ANALYZE) {table}")
    connection.execute(
        f"INSERT INTO {table} (id, a, b, c, d) SELECT i, NULL, i % 1000, i, md5(i::text) "
        f"FROM generate_series(1, {count}) AS i"
    )
    connection.execute(f"CREATE UNIQUE INDEX {table}_key ON {table} (id)")
    for number, columns in enumerate(("b", "c", "d", "at", "b, c", "c, d", "d, b", "(c + 1)")):
        connection.execute(f"CREATE INDEX {table}_{number} ON {table} ({columns})")
    connection.execute(f"VACUUM (ANALYZE) {table}")


@contextmanager
def _writers(cluster: Cluster) -> Iterator[_Beside]:
    beside, stop = _Beside(), threading.Event()

    def write() -> None:
        with cluster.connect("bench") as connection:
            number, due = 10**8, time.perf_counter()
            while not stop.is_set():
                number += 1
                table = ("agents", "evolution_history")[number % 2]
                began = time.perf_counter()
                connection.execute(f"INSERT INTO {table} (id, a, b, c, d) VALUES ({number}, NULL, 1, {number}, 'new')")
                beside.latencies.append(time.perf_counter() - began)
                due = max(due + 1 / _WRITES_A_SECOND, began)
                time.sleep(max(0.0, due - time.perf_counter()))

    def watch() -> None:
        seen = set()
        query = (
            "SELECT locks.pid, locks.waitstart FROM pg_locks AS locks JOIN pg_stat_activity AS activity USING (pid) "
            "WHERE NOT locks.granted AND activity.query LIKE 'INSERT%' "
            f"AND clock_timestamp() - locks.waitstart > interval '{_WAIT_SECONDS} s'"
        )
        with cluster.connect("bench") as connection:
            while not stop.is_set():
                seen |= set(connection.execute(query).fetchall())
                time.sleep(_WAIT_SECONDS / 4)
        beside.waits = len(seen)

    threads = [threading.Thread(target=target) for target in (write, watch)]
    for thread in threads:
        thread.start()
    try:
        yield beside
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _theirs(cluster: Cluster) -> None:
    with cluster.connect("bench") as connection:
        for statement in _GUIDE:
            connection.execute(statement)


def _ours(cluster: Cluster) -> None:
    settings = load_settings()
    data = settings.model_dump()
    data["care"]["always_analyze"] = ("agents", "evolution_history")
    data["recovery"]["database_host"] = ""
    ports = CarePorts(system=_NoHosts(), database=_source(cluster), server=_source, store=None)  # type: ignore[arg-type]
    ref = ItemRef("weekly", "bench", "bench", "database_optimization")
    ledger: Any = _NoLedger()
    outcome = care_for_database(
        ports, Settings.model_validate(data), ledger, ref, check=lambda: None, progress=lambda _line: None
    )
    rebuilt = next(result for result in outcome.results if result.check == "care.indexes")
    if " 2 rebuilt " not in rebuilt.summary:
        raise SystemExit(f"The bench proves nothing: {rebuilt.summary} {rebuilt.details}")


class _NoHosts(SimpleNamespace):
    hosts: dict[str, Any] = {}  # noqa: RUF012


class _NoLedger:
    """Remembers nothing."""

    def journal(self, *_: object) -> None:
        return None

    def keep_sample(self, *_: object) -> None:
        return None

    def samples(self, *_: object, **__: object) -> list[Any]:
        return []


def _source(cluster: Cluster) -> PostgresSource:
    info = cluster.conninfo("bench")
    facts = ConnectionFacts("bench", "postgres", info["host"], info["port"], info["user"], info["password"], "bench")
    return PostgresSource(facts)


def _finding(cluster: Cluster, tables: int) -> Iterator[Row]:
    cluster.create_database("bench")
    with cluster.connect("bench") as connection:
        connection.execute(
            "CREATE PROCEDURE make(first int, last int) LANGUAGE plpgsql AS $$ BEGIN FOR n IN first..last LOOP "
            "EXECUTE format('CREATE TABLE t%s (id int, a int, b text, at timestamptz)', n); "
            "EXECUTE format('INSERT INTO t%s SELECT i, i, ''x'', now() FROM generate_series(1, 3000) AS i', n); "
            "EXECUTE format('CREATE INDEX ON t%s (id); CREATE INDEX ON t%s (a); CREATE INDEX ON t%s (b); "
            "CREATE INDEX ON t%s (at)', n, n, n, n); IF n % 10 = 0 THEN EXECUTE format('DELETE FROM t%s', n); "
            "END IF; END LOOP; END $$"
        )
        for first in range(1, tables + 1, 100):
            connection.execute(f"CALL make({first}, {min(first + 99, tables)})")
        connection.execute("ANALYZE")
    source, limits = _source(cluster), load_settings().care

    def find() -> str:
        with source.session() as session:
            found = survey(session, limits)
            data = limits.indexes.model_dump()
            # The small ones of the bench count as large.
            indexes = survey_indexes(session, type(limits.indexes)(**{**data, "minimum_mb": 0.01}))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return f"{found.looked_at} {indexes.looked_at} {len(found.tables)} {peak}"

    began = time.perf_counter()
    looked_at, indexes, needy, peak = (int(word) for word in find().split())
    seconds = time.perf_counter() - began
    name = f"finding what needs care: {looked_at:,} tables ({needy:,} need it), {indexes:,} indexes"
    yield Row(name, seconds, "the limit", 10.0, 1, at_most=1.0)
    yield Row("  peak memory of the process", peak / _MIB, "the limit", 200.0, 1, at_most=1.0, unit="MiB")
    cluster.drop_database("bench")
