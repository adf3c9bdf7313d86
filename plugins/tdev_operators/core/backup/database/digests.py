"""How many rows a table has, and a digest of them that no order changes: the same before the dump and after a restore.

Every row is hashed to 64 bits and the hashes are summed, so that parts of a table add up and identical rows count.
The hash of a row is PostgreSQL's hash of a record over one expression a column, each made so that two values have one
hash only if a dump would write them alike: types whose own equality is coarser (1.0 and 1.00, -0 and 0, an array's
bounds, 1 day and 24 hours) go by their send function or by their text.

PostgreSQL combines the columns' hashes linearly. Summed as they are, two rows that exchange the values of one column
would go unseen, so each row's hash is hashed once more.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from threading import Event, local
from typing import Self

from psycopg import sql

from tdev_operators.core.backup.database.catalogue import Column, Relation, pin
from tdev_operators.core.backup.ports import Session, SourceDatabase
from tdev_operators.core.errors import TdevError, TransientError
from tdev_operators.core.sql import load_sql

METHOD = "row-send-v1"

BLIND_SPOTS = (
    "The digest finds errors, not forgers: it is 64 bits wide and its hash function is public and not cryptographic.",
    "Digests of different major versions of PostgreSQL are not compared, since their hash functions may differ.",
    "Materialized views, foreign tables and views are compared by their definitions, not by their rows.",
    "The physical order of rows, row identifiers, dropped columns, statistics and tablespaces are not compared.",
    "A value is seen as its type writes it: what a type does not print, no dump holds and no digest sees.",
    "Sequences are not part of a snapshot; a restored one may be ahead, and only one that is behind is a fault.",
    "A NaN is a NaN, whatever its sign and payload bits: a dump does not keep those.",
    "Rows that an extension owns and does not mark as configuration are made by the extension, not by the dump.",
    "In constraints, indexes, views and policies, parentheses and casts to text are not compared: restores move them.",
)

# Their own hash is of all of their bytes.
_RAW = frozenset(
    {"bool", "bytea", "char", "cidr", "date", "inet", "int2", "int4", "macaddr", "macaddr8", "oid", "uuid", "xid"}
)
_COLLATED = frozenset({"name", "text", "varchar"})
# Their own hash folds 64 bits into 32 or is coarser than their bytes; their send function needs no encoding.
_SENT = {
    "bit": "bit_send",
    "int8": "int8send",
    "interval": "interval_send",
    "money": "cash_send",
    "numeric": "numeric_send",
    "pg_lsn": "pg_lsn_send",
    "time": "time_send",
    "timestamp": "timestamp_send",
    "timestamptz": "timestamptz_send",
    "timetz": "timetz_send",
    "varbit": "varbit_send",
    "xid8": "xid8send",
}
_FLOATS = {"float4": "float4send", "float8": "float8send"}
# Their cast to text is their output function.
_CAST = frozenset({"json", "jsonb"})

_PART_BYTES = 256 * 2**20  # a table above twice this is read in ranges, so that the last one does not run alone
_LOCK_WAIT_SECONDS = 60.0
_SECONDS_BETWEEN_LINES = 5.0
_SECONDS_BETWEEN_LOOKS = 1.0
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class TableDigest:
    """What a table holds. `digest` is a whole number in decimal; an empty table has 0."""

    rows: int
    digest: str


@dataclass(frozen=True, slots=True)
class LargeObjectsDigest:
    """What the large objects hold, with their owners and grants, in one figure."""

    count: int
    digest: str


@dataclass(frozen=True, slots=True)
class _Part:
    relation: Relation
    query: sql.Composed
    bytes: int


def column_expression(column: Column) -> sql.Composed:
    """Return the expression whose hash stands for the column's value, NULL for NULL."""
    name = sql.Identifier(column.name)
    if column.base in _RAW:
        return sql.Composed([name])
    if column.base in _COLLATED or (column.base == "bpchar" and column.padded):
        # Under a nondeterministic collation the hash is of the sort key. Of char(n) it leaves out the last blanks,
        # which is exact all the same, since n says how many there are.
        return sql.SQL('{} COLLATE pg_catalog."C"').format(name)
    if function := _SENT.get(column.base):
        return sql.SQL("pg_catalog.{}({})").format(sql.Identifier(function), name)
    if function := _FLOATS.get(column.base):
        # Processors make NaNs of several bit patterns, and a dump writes one.
        return sql.SQL("pg_catalog.{}(CASE WHEN {} = 'NaN' THEN 'NaN' ELSE {} END)").format(
            sql.Identifier(function), name, name
        )
    if column.base in _CAST:
        return sql.SQL('{}::pg_catalog.text COLLATE pg_catalog."C"').format(name)
    # `format` calls the type's output function whatever casts there are, and writes NULL and 'NULL' differently. Arrays
    # too: their binary form remembers that there once was a NULL. The text inherits the column's collation.
    return sql.SQL("pg_catalog.format('%L', {}) COLLATE pg_catalog.\"C\"").format(name)


def table_query(relation: Relation, pages: tuple[int, int | None] | None = None) -> sql.Composed:
    """Return the query of a table's `rows` and `digest`; with `pages`, of the rows from one page to before another."""
    if relation.columns:
        columns = sql.SQL(", ").join(column_expression(column) for column in relation.columns)
        digest = sql.SQL(
            # A record again, since a function that hashes bytea can be called by its name only from version 18 on.
            "coalesce(sum(pg_catalog.hash_record_extended(ROW(pg_catalog.int8send("
            "pg_catalog.hash_record_extended(ROW({}), 0))), 0)), 0)"
        ).format(columns)
    else:
        digest = sql.Composed([sql.SQL("0::pg_catalog.numeric")])
    # What pg_dump pastes behind the table's name: the extension's own SQL.
    where = sql.Composed([sql.SQL(relation.condition)])
    if pages:
        start, end = pages
        where = sql.SQL("WHERE ctid >= {}::pg_catalog.tid").format(sql.Literal(f"({start},0)"))
        if end is not None:
            where += sql.SQL(" AND ctid < {}::pg_catalog.tid").format(sql.Literal(f"({end},0)"))
    return sql.SQL("-- the digest of a table\nSELECT count(*) AS rows, {} AS digest FROM ONLY {} {}").format(
        digest, sql.Identifier(relation.schema, relation.name), where
    )


def digest_all(
    source: SourceDatabase,
    snapshot_id: str,
    tables: Sequence[Relation],
    jobs: int,
    progress: Callable[[str], None] = lambda _: None,
    still_ours: Callable[[], None] = lambda: None,
    *,
    part_bytes: int = _PART_BYTES,
    lock_wait_seconds: float = _LOCK_WAIT_SECONDS,
) -> dict[tuple[str, str], TableDigest]:
    """Digest tables under an exported snapshot, the largest first, over `jobs` sessions. Keys are (schema, name).

    `still_ours` is asked about once a second; what it raises ends the work, as does the first error of a session.
    A statement that waits for the holder's lock stands before these sessions too, which is why they do not wait long.

    Raises:
        BusyError: a table was not to be had within `lock_wait_seconds`.
        AccessDeniedError, TargetTimeoutError, TargetUnreachableError; InputError also when the snapshot
        is gone.
    """
    parts = sorted((part for table in tables for part in _parts(table, part_bytes)), key=lambda part: -part.bytes)
    totals: dict[tuple[str, str], tuple[int, int]] = {(table.schema, table.name): (0, 0) for table in tables}
    line = _Progress(source.name, sum(part.bytes for part in parts), len(tables), progress)
    with _Sessions(source, snapshot_id, jobs, lock_wait_seconds) as pool:
        waiting = {pool.submit(part.query): part for part in parts}
        while waiting:
            done, _ = wait(waiting, timeout=_SECONDS_BETWEEN_LOOKS, return_when=FIRST_COMPLETED)
            still_ours()
            for future in done:
                part = waiting.pop(future)
                rows, digest = future.result()
                key = part.relation.schema, part.relation.name
                totals[key] = totals[key][0] + rows, totals[key][1] + digest
                line.add(part.bytes)
    return {key: TableDigest(rows, str(digest)) for key, (rows, digest) in totals.items()}


def digest_large_objects(session: Session) -> LargeObjectsDigest:
    """Digest all large objects for the session's snapshot, sparse ones as a restore writes them out.

    Raises:
        AccessDeniedError: one of them may not be read.
    """
    [may] = session.rows(load_sql("backup/large_objects_readable"))
    name = "backup/large_objects" if may["readable"] else "backup/large_objects_one_by_one"
    [row] = session.rows(load_sql(name))
    return LargeObjectsDigest(count=row["count"], digest=str(int(row["digest"])))


class _Sessions:
    """A pool of threads, each with a session that has imported the snapshot."""

    def __init__(self, source: SourceDatabase, snapshot_id: str, jobs: int, lock_wait_seconds: float) -> None:
        self._source = source
        self._snapshot_id = snapshot_id
        self._lock_wait = sql.Literal(max(1, round(lock_wait_seconds * 1000)))
        self._own = local()
        self._opened: list[ExitStack] = []
        self._pids: list[int] = []
        self._over = Event()
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="tdev-digest")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._over.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        if kind is not None:
            self._end_sessions()
        self._pool.shutdown(wait=True)
        for session in self._opened:
            session.close()

    def _end_sessions(self) -> None:
        # By the server, since a connection must not be closed under the thread that uses it. When the server is gone,
        # so are they.
        with suppress(TdevError), self._source.session() as session:
            session.rows(load_sql("backup/end_sessions"), {"pids": list(self._pids)})

    def submit(self, query: sql.Composed) -> "Future[tuple[int, int]]":
        return self._pool.submit(self._run, query)

    def _run(self, query: sql.Composed) -> tuple[int, int]:
        if self._over.is_set():
            raise TransientError(f"The digest of {self._source.name} was given up; try again.")
        [row] = self._session().rows(query)
        return row["rows"], int(row["digest"])

    def _session(self) -> Session:
        if not hasattr(self._own, "session"):
            stack = ExitStack()
            self._opened.append(stack)
            session = stack.enter_context(self._source.session())
            self._pids.append(session.pid)
            session.rows("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            session.rows(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(self._snapshot_id)))
            session.rows(sql.SQL("SET LOCAL lock_timeout = {}").format(self._lock_wait))
            pin(session, local=True)
            self._own.session = session
        own: Session = self._own.session
        return own


class _Progress:
    def __init__(self, name: str, total: int, tables: int, say: Callable[[str], None]) -> None:
        self._name, self._total, self._tables, self._say = name, total, tables, say
        self._done = 0
        self._started = self._said = time.monotonic()

    def add(self, size: int) -> None:
        self._done += size
        now = time.monotonic()
        if now - self._said < _SECONDS_BETWEEN_LINES or not self._done:
            return
        self._said = now
        rate = self._done / (now - self._started)
        left = (self._total - self._done) / rate
        self._say(
            f"{self._name}: digested {self._done / _MIB:,.0f} of {self._total / _MIB:,.0f} MiB in {self._tables} "
            f"tables, {rate / _MIB:,.0f} MiB/s, about {left:,.0f} s left"
        )


def _parts(relation: Relation, part_bytes: int) -> Iterator[_Part]:
    block = 8192  # as PostgreSQL is built everywhere; another size only moves the bounds
    if not relation.heap or relation.condition or relation.bytes <= 2 * part_bytes:
        yield _Part(relation, table_query(relation), relation.bytes)
        return
    pages = max(1, part_bytes // block)
    last = relation.bytes // block // pages
    for number in range(last + 1):
        end = (number + 1) * pages if number < last else None
        size = part_bytes if end else relation.bytes - last * pages * block
        yield _Part(relation, table_query(relation, (number * pages, end)), size)
