"""VACUUM and ANALYZE by need: the neediest first, several at once, proven by what the server wrote down."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from threading import Lock
from typing import Any

from tdev_operators.core.backup.ports import Session, SourceDatabase
from tdev_operators.core.database.alone import APPLICATION
from tdev_operators.core.database.care.budget import Budget
from tdev_operators.core.database.care.lockers import locker
from tdev_operators.core.database.care.needs import Table, Work, binds
from tdev_operators.core.database.care.settings import CareSettings
from tdev_operators.core.database.care.yielding import yielding
from tdev_operators.core.database.parameters import put
from tdev_operators.core.errors import BusyError, TargetTimeoutError, TargetUnreachableError, TdevError
from tdev_operators.core.reporting.wording import span
from tdev_operators.core.sql import load_sql

_LOCK_SECONDS = 10.0
_LESS = 0.9  # an age that is not a tenth less was not lowered


class Fate(StrEnum):
    """How the care of one table ended."""

    DONE = "done"
    LOCKED = "locked"  # somebody holds a lock that VACUUM conflicts with
    REFUSED = "refused"  # the server did nothing and said rc 0: the role is not the owner
    NO_TIME = "not begun"
    TOO_LONG = "not finished"
    OLD = "still old"  # it was frozen as far as the horizon lets it, which is not far
    FAILED = "failed"
    GONE = "gone"  # dropped meanwhile


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one table. `dead_left` are dead rows after it; `why` says why it was not done."""

    work: Work
    fate: Fate
    seconds: float = 0.0
    dead_left: float = 0.0
    why: str = ""

    @property
    def line(self) -> str:
        """The table in a line of the report."""
        work = self.work
        told = f"{work.table.name}: {', '.join(work.reasons)}"
        if self.fate not in (Fate.DONE, Fate.OLD):
            return f"{told}; {self.fate.value}: {self.why}"
        verb = "vacuumed and analyzed" if work.vacuum and work.analyze else "vacuumed" if work.vacuum else "analyzed"
        left = f", {work.table.dead:,.0f} -> {self.dead_left:,.0f} dead rows" if work.vacuum else ""
        still = f"; {self.fate.value}: {self.why}" if self.why else ""
        return f"{told}; {verb} in {span(self.seconds)}{left}{still}"


@dataclass(frozen=True, slots=True)
class Survey:
    """The tables that need care, how many there are in all, and the names of the settings that are none.

    `role` is who we are; without `tracks_counts` the server does not count what changes.
    """

    tables: tuple[Table, ...]
    looked_at: int
    missing: tuple[str, ...]
    role: str = ""
    tracks_counts: bool = True


def survey(session: Session, limits: CareSettings) -> Survey:
    """Look through the whole catalogue; only what needs care comes back."""
    [server] = session.rows(load_sql("care/looked_at"))
    rows = session.rows(load_sql("care/tables"), binds(limits))
    missing = session.rows(load_sql("care/missing_tables"), {"names": list(limits.always_analyze)})
    return Survey(
        tables=tuple(Table.of(row) for row in rows),
        looked_at=int(server["tables"]),
        missing=tuple(row["name"] for row in missing),
        role=server["role"],
        tracks_counts=server["tracks_counts"],
    )


def care_for(
    database: SourceDatabase,
    works: Sequence[Work],
    limits: CareSettings,
    budget: Budget,
    *,
    check: Callable[[], None],
    progress: Callable[[str], object],
) -> list[Done]:
    """Do the works in their order, `limits.workers` at once, each in a session of its own; return what became of each.

    What finds a table locked is tried once more at the end.

    Raises:
        TargetUnreachableError: the server went away. BusyError: the work is no longer ours (`check`).
    """
    if not works:
        return []
    waiting, ended, guard = deque((work, True) for work in works), list[Done](), Lock()

    def worker() -> None:
        while True:
            with guard:
                if not waiting:
                    return
                work, again = waiting.popleft()
            try:
                check()
                one = _cared_for(database, work, limits, budget)
            except BaseException:
                waiting.clear()  # the others finish what they are at
                raise
            with guard:
                if one.fate is Fate.LOCKED and again:
                    waiting.append((work, False))
                    continue
                ended.append(one)
                progress(f"{len(ended)} of {len(works)}: {one.line}")

    with ThreadPoolExecutor(limits.workers, "care") as pool:
        for each in [pool.submit(worker) for _ in range(min(limits.workers, len(works)))]:
            each.result()
    places = {id(work): place for place, work in enumerate(works)}
    return sorted(ended, key=lambda one: places[id(one.work)])


def _cared_for(database: SourceDatabase, work: Work, limits: CareSettings, budget: Budget) -> Done:
    if not work.table.may:
        return Done(work, Fate.REFUSED, why=f"it belongs to {work.table.owner}")
    if not budget.left:
        return Done(work, Fate.NO_TIME, why="no time was left")
    try:
        with database.session(application_name=APPLICATION) as session:
            put(
                session, {"vacuum_cost_delay": f"{limits.cost_delay_ms}ms", "vacuum_cost_limit": str(limits.cost_limit)}
            )
            before = _now(session, work)
            if before is None:
                return Done(work, Fate.GONE, why="it is no longer there")
            # A table that is locked is left out; what waits all the same (a partition) does not wait for ever.
            budget.bound(session, _LOCK_SECONDS)
            with yielding(database, session, limits.yield_seconds) as given_way:
                try:
                    session.rows(work.statement)
                except TargetTimeoutError:
                    if given_way.to:
                        return Done(work, Fate.LOCKED, why=given_way.why)
                    return Done(work, Fate.TOO_LONG, why="it was cancelled; what it had done by then stays done")
            return _proven(session, work, limits, before["now"])
    except TargetUnreachableError:
        if not _answers(database):
            raise
        return Done(work, Fate.FAILED, why="its session was ended by somebody")
    except BusyError as error:
        return Done(work, Fate.LOCKED, why=str(error))
    except TdevError as error:
        return _failed(database, work, error)


def _proven(session: Session, work: Work, limits: CareSettings, began: datetime) -> Done:
    """Believe what the server wrote down, and no exit status: what is locked or not ours is left with a warning."""
    now = _now(session, work)
    if now is None:
        return Done(work, Fate.GONE, why="it was dropped meanwhile")
    seconds = (now["now"] - began).total_seconds()
    asked = [now["vacuumed_at"]] * work.vacuum + [now["analyzed_at"]] * work.analyze
    if all(at is not None and at >= began for at in asked):
        if (
            work.freeze
            and now["age_percent"] >= limits.freeze_percent
            and now["age_percent"] >= _LESS * work.table.age_percent
        ):
            why = f"its age is {now['age_percent']:.0f} % of the limit as before, for somebody holds the horizon back"
            return Done(work, Fate.OLD, seconds, now["dead"], why)
        return Done(work, Fate.DONE, seconds, now["dead"])
    nobody = "the server left it (or its TOAST table) out, and nobody holds a lock any more"
    return Done(work, Fate.LOCKED, why=locker(session, work.table.oid) or nobody)


def _failed(database: SourceDatabase, work: Work, error: TdevError) -> Done:
    with database.session(application_name=APPLICATION) as session:
        gone = _now(session, work) is None
    return Done(work, Fate.GONE if gone else Fate.FAILED, why="it was dropped meanwhile" if gone else str(error))


def _now(session: Session, work: Work) -> dict[str, Any] | None:
    rows = session.rows(load_sql("care/table_now"), {"oid": work.table.oid})
    return rows[0] if rows else None


def _answers(database: SourceDatabase) -> bool:
    try:
        with database.session(application_name=APPLICATION):
            return True
    except TdevError:
        return False
