"""What dead rebuilds left: invalid indexes that cost every write and serve no query. Dropped when nobody builds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from psycopg.sql import SQL, Composed, Identifier

from tdev_operators.core.backup.ports import Session, SourceDatabase
from tdev_operators.core.database.alone import APPLICATION
from tdev_operators.core.database.care.budget import Budget
from tdev_operators.core.database.care.lockers import locker
from tdev_operators.core.database.care.yielding import yielding
from tdev_operators.core.database.wording import shown_name, untitled
from tdev_operators.core.errors import (
    BusyError,
    DiskFullError,
    TargetTimeoutError,
    TargetUnreachableError,
    TdevError,
)
from tdev_operators.core.sql import load_sql

Journal = Callable[[str, Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Invalid:
    """An index that is not valid. `worker_pid` may be building it; `kept` says why it was not dropped."""

    oid: int
    schema_name: str
    index_name: str
    table_oid: int
    table_name: str
    bytes: int
    definition: str
    is_leftover: bool
    worker_pid: int | None
    owner: str
    may: bool
    kept: str = ""

    @property
    def name(self) -> str:
        """The name for people."""
        return shown_name(self.schema_name, self.index_name)

    @property
    def statement(self) -> Composed:
        """What removes it."""
        identifier = Identifier(self.schema_name, self.index_name)
        return SQL("-- what a dead rebuild left\nDROP INDEX CONCURRENTLY {}").format(identifier)

    @property
    def text(self) -> str:
        """The statement without its title."""
        return untitled(self.statement) + ";"


@dataclass(frozen=True, slots=True)
class Swept:
    """What was dropped, what had to stay (each with its `kept`), and invalid indexes that are no leftovers."""

    dropped: tuple[Invalid, ...] = ()
    kept: tuple[Invalid, ...] = ()
    others: tuple[Invalid, ...] = ()


def invalid_indexes(session: Session) -> list[Invalid]:
    """Return all invalid indexes of the database."""
    fields = [name for name in Invalid.__slots__ if name != "kept"]
    return [Invalid(**{name: row[name] for name in fields}) for row in session.rows(load_sql("care/leftovers"))]


@dataclass(frozen=True, slots=True)
class Sweeping:
    """What a sweep needs: the time, how long it waits for a lock, and when it gives way to others."""

    database: SourceDatabase
    budget: Budget
    lock_seconds: float
    yield_seconds: float
    journal: Journal
    check: Callable[[], None]
    progress: Callable[[str], object]

    def sweep(self, tables: Sequence[int] | None = None) -> Swept:
        """Drop the leftovers of dead rebuilds, ours or others', each noted before (its definition is the way back).

        `tables` limits it to leftovers on these tables, by their oids.

        Raises:
            TargetUnreachableError: the server went away. BusyError: the work is no longer ours (`check`).
        """
        with self.database.session(application_name=APPLICATION) as session:
            found = invalid_indexes(session)
            concerned = [one for one in found if tables is None or one.table_oid in tables]
            dropped, kept = [], []
            for one in (one for one in concerned if one.is_leftover):
                self.check()
                if why := self._dropped(session, one):
                    kept.append(replace(one, kept=why))
                else:
                    dropped.append(one)
                    self.progress(f"dropped {one.name}, {one.bytes:,} bytes that a dead rebuild left")
        return Swept(tuple(dropped), tuple(kept), tuple(one for one in concerned if not one.is_leftover))

    def _dropped(self, session: Session, one: Invalid) -> str:
        """Drop it; return why not."""
        if not one.may:
            return f"it belongs to {one.owner}"
        if one.worker_pid is not None:
            return f"pid {one.worker_pid} works on its table, and may be building it"
        try:
            self.journal("leftover_dropped", {"index": one.name, "definition": one.definition, "statement": one.text})
            # Asked again, as near to the drop as can be: somebody may have begun to build, or dropped it.
            now = {other.oid: other for other in invalid_indexes(session)}.get(one.oid)
            if now is None:
                return ""
            if not now.is_leftover or now.worker_pid is not None:
                return f"pid {now.worker_pid} works on its table by now" if now.worker_pid else "it became valid"
            self.budget.bound(session, self.lock_seconds)
            with yielding(self.database, session, self.yield_seconds) as given_way:
                try:
                    session.rows(one.statement)
                except TargetTimeoutError:
                    return given_way.why if given_way.to else "no time was left"
        except TargetUnreachableError:
            raise
        except DiskFullError as error:
            return str(error)
        except BusyError as error:
            held = locker(session, one.table_oid, of_any_kind=True)
            return held.replace("a lock on it", f"a lock on {one.table_name}") or str(error)
        except TdevError as error:
            return str(error)
        return ""
