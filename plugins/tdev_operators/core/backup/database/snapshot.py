"""Holding still what is dumped: one exported snapshot, taken only when every dumped table is locked.

A snapshot does not protect from TRUNCATE nor from an ALTER that rewrites: their new, empty file is what an older
snapshot sees too. A table that is truncated between the export and `pg_dump`'s own lock is dumped empty, with exit
status 0, and its digest in that snapshot agrees. So every table is locked before the snapshot exists.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import sql

from tdev_operators.core.backup.database.catalogue import Catalogue, Relation, pin, read_catalogue
from tdev_operators.core.backup.ports import Session, SourceDatabase
from tdev_operators.core.errors import AccessDeniedError, BusyError, InputError, TdevError
from tdev_operators.core.sql import load_sql

_ATTEMPTS = 5
_TABLES_A_STATEMENT = 100  # so that the time that is left is looked at between them
_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


@dataclass(frozen=True, slots=True)
class HeldSnapshot:
    """A snapshot that lives as long as its block. Other sessions import it by `id` (`pg_dump --snapshot`).

    `at` is the database's own clock just before the snapshot, `lsn` the write-ahead log's end just after it;
    `system_identifier` is empty when the role may not ask for it. `session` runs statements under the snapshot.
    """

    id: str
    at: datetime
    lsn: str
    system_identifier: str
    catalogue: Catalogue
    session: Session
    watcher: Session
    name: str

    def alive(self) -> bool:
        """Whether the holder's transaction is still there, so that `id` can be imported."""
        try:
            [row] = self.watcher.rows(load_sql("backup/holder"), {"pid": self.session.pid})
        except TdevError:
            return False
        return bool(row["holding"])

    def check_blocked(self, yield_after_seconds: float) -> None:
        """Look whether sessions wait behind our locks, or behind somebody who does.

        Raises:
            BusyError: some have waited for `yield_after_seconds`; it names them. The dump should give up.
        """
        rows = self.watcher.rows(
            load_sql("backup/blocked"), {"holder": self.session.pid, "seconds": yield_after_seconds}
        )
        if rows:
            named = ", ".join(
                f"pid {row['pid']} ({row['application'] or 'unnamed'}, {row['waits_for']}, waits since "
                f"{row['since']:%H:%M:%S})"
                for row in rows[:5]
            )
            raise BusyError(
                f"The dump of {self.name} gives way: {len(rows)} sessions have waited behind its locks for "
                f"{yield_after_seconds:g} s or longer: {named}; start what alters tables at another time than the "
                "back-up."
            )


@contextmanager
def held_snapshot(
    source: SourceDatabase,
    *,
    lock_wait_seconds: float,
    progress: Callable[[str], None] = lambda _: None,
    before_lock: Callable[[], None] = lambda: None,
) -> Iterator[HeldSnapshot]:
    """Lock every dumped table in ACCESS SHARE MODE, then export a snapshot, and hold both until the block ends.

    The locks are waited for `lock_wait_seconds` in all. `before_lock` is called between the list and the locks, which
    is where tests meddle.

    Raises:
        BusyError: a lock was not to be had in time, or tables come and go faster than they can be locked.
        InputError: the server is a standby.
        AccessDeniedError: a table may not be read.
    """
    with source.session() as holder, source.session() as watcher:
        pin(watcher)
        identifier = _system_identifier(source, watcher)
        milliseconds = max(1, round(lock_wait_seconds * 1000))
        watcher.rows(sql.SQL("SET lock_timeout = {}").format(sql.Literal(milliseconds)))
        catalogue, exported = _locked(source, holder, watcher, lock_wait_seconds, progress, before_lock)
        yield HeldSnapshot(
            id=exported["id"],
            at=exported["at"],
            lsn=exported["lsn"],
            system_identifier=identifier,
            catalogue=catalogue,
            session=holder,
            watcher=watcher,
            name=source.name,
        )


def _locked(
    source: SourceDatabase,
    holder: Session,
    watcher: Session,
    lock_wait_seconds: float,
    progress: Callable[[str], None],
    before_lock: Callable[[], None],
) -> tuple[Catalogue, dict[str, Any]]:
    deadline = time.monotonic() + lock_wait_seconds
    why = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            progress(f"{source.name}: {why} meanwhile; locking the tables again")
            holder.rows("ROLLBACK")
        listed = read_catalogue(watcher).lockable
        before_lock()
        holder.rows(_BEGIN)
        try:
            _lock(source, holder, listed, deadline)
        except InputError as error:  # a table of the list is gone
            why = str(error)
            continue
        pin(holder, local=True)
        [exported] = holder.rows(load_sql("backup/export_snapshot"))
        try:
            catalogue = read_catalogue(holder)
        except InputError as error:  # a sequence is gone
            why = str(error)
            continue
        if {_identity(table) for table in catalogue.lockable} == {_identity(table) for table in listed}:
            return catalogue, exported
        why = "the list of tables changed"
    raise BusyError(
        f"The tables of {source.name} came and went during {_ATTEMPTS} attempts to lock them ({why}); take the back-up "
        "when nobody creates or drops tables."
    )


def _lock(source: SourceDatabase, holder: Session, tables: tuple[Relation, ...], deadline: float) -> None:
    # LOCK and SET take no snapshot; the first query after them does.
    for start in range(0, len(tables), _TABLES_A_STATEMENT):
        milliseconds = max(1, round((deadline - time.monotonic()) * 1000))
        holder.rows(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(milliseconds)))
        names = sql.SQL(", ").join(
            sql.SQL("ONLY {}").format(sql.Identifier(table.schema, table.name))
            for table in tables[start : start + _TABLES_A_STATEMENT]
        )
        try:
            holder.rows(sql.SQL("-- the locks of the dumped tables\nLOCK TABLE {} IN ACCESS SHARE MODE").format(names))
        except BusyError as error:
            raise BusyError(f"The tables of {source.name} cannot be locked for the dump: {error}") from None


def _identity(table: Relation) -> tuple[int, str, str, str]:
    return table.oid, table.schema, table.name, table.kind


def _system_identifier(source: SourceDatabase, session: Session) -> str:
    [row] = session.rows(load_sql("backup/server"))
    if row["standby"]:
        raise InputError(
            f"The server of {source.name} is a standby, on which tables cannot be held as a dump needs it; point the "
            "connection at the primary."
        )
    try:
        [row] = session.rows(load_sql("backup/system_identifier"))
    except AccessDeniedError:
        return ""
    return str(row["system_identifier"])
