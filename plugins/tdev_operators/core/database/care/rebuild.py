"""REINDEX INDEX CONCURRENTLY where it was measured: guarded, bounded, two at once at most, and looked at afterwards."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby
from threading import Lock

from tdev_operators.core.backup.ports import Session, SourceDatabase
from tdev_operators.core.database.alone import APPLICATION
from tdev_operators.core.database.care.budget import Budget
from tdev_operators.core.database.care.indexes import MB, Index
from tdev_operators.core.database.care.leftovers import Journal, sweep
from tdev_operators.core.database.care.measure import Instruments, leaf_density, verify
from tdev_operators.core.database.care.settings import IndexCareSettings
from tdev_operators.core.errors import (
    BusyError,
    GarbledAnswerError,
    TargetTimeoutError,
    TargetUnreachableError,
    TdevError,
)
from tdev_operators.core.reporting.wording import span
from tdev_operators.core.sql import load_sql

_LOOK_AGAIN_SECONDS = 5.0


class IndexFate(StrEnum):
    """How the care of one index ended."""

    REBUILT = "rebuilt"
    DENSE = "dense enough"  # measured: the estimate was wrong
    ESTIMATED = "only estimated"  # nothing is there to measure it with
    POSTPONED = "postponed"
    REFUSED = "refused"
    FAILED = "failed"
    DAMAGED = "damaged"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class IndexDone:
    """What became of one index. Densities are of its leaf pages, in percent; None: not measured."""

    index: Index
    fate: IndexFate
    density: float | None = None
    new_density: float | None = None
    new_bytes: int | None = None
    seconds: float = 0.0
    checked: bool = False
    why: str = ""

    @property
    def line(self) -> str:
        """The index in a line of the report."""
        dense = f", leaf density {self.density:.0f} %" if self.density is not None else ""
        told = f"{self.index.name}: {_mb(self.index.bytes)}{dense}"
        if self.fate is IndexFate.REBUILT and self.new_bytes is not None:
            new = f", {self.new_density:.0f} %" if self.new_density is not None else ""
            checked = ", every row found in it" if self.checked else ""
            return f"{told} -> {_mb(self.new_bytes)}{new}; rebuilt in {span(self.seconds)}{checked}"
        waste = self.index.waste_percent(at_most=True)
        guessed = f", estimated waste {waste:.0f} %" if waste is not None and self.density is None else ""
        return f"{told}{guessed}; {self.fate.value}" + (f": {self.why}" if self.why else "")


@dataclass(frozen=True, slots=True)
class Rebuilding:
    """What a rebuild needs: the limits, what measures, the time, how much disk is free (None: nobody watches it)."""

    database: SourceDatabase
    limits: IndexCareSettings
    instruments: Instruments
    budget: Budget
    free_bytes: Callable[[], int | None]
    journal: Journal
    note: Callable[[IndexDone], None]  # called for each index that is rebuilt
    check: Callable[[], None]
    progress: Callable[[str], object]
    dry_run: bool = False


def care_for_indexes(job: Rebuilding, suspects: Sequence[Index]) -> list[IndexDone]:
    """Measure the suspects, rebuild what is thin, and return what became of each, in their order.

    Indexes of one table are rebuilt one after the other: a rebuild keeps others from its table.

    Raises:
        TargetUnreachableError: the server went away. BusyError: the work is no longer ours (`check`).
    """
    ended, guard = list[IndexDone](), Lock()
    by_table = [list(group) for _, group in groupby(sorted(suspects, key=_table), key=_table)]
    # The tables with the most to win first.
    by_table.sort(key=lambda group: -sum(index.bytes for index in group))

    def work(group: list[Index]) -> None:
        for index in group:
            job.check()
            one = _cared_for(job, index)
            if one.fate is IndexFate.REBUILT:
                job.note(one)
            with guard:
                ended.append(one)
                job.progress(f"{len(ended)} of {len(suspects)}: {one.line}")

    with ThreadPoolExecutor(job.limits.rebuild_at_once, "rebuild") as pool:
        for each in [pool.submit(work, group) for group in by_table]:
            each.result()
    places = {index.oid: place for place, index in enumerate(suspects)}
    return sorted(ended, key=lambda one: places[one.index.oid])


def _cared_for(job: Rebuilding, index: Index) -> IndexDone:
    if not index.may:
        return IndexDone(index, IndexFate.REFUSED, why=f"it belongs to {index.owner}")
    if not job.budget.left:
        return IndexDone(index, IndexFate.POSTPONED, why="no time was left")
    measured = IndexDone(index, IndexFate.ESTIMATED)
    try:
        with job.database.session(application_name=APPLICATION) as session:
            for name, value in (
                ("lock_timeout", f"{job.limits.lock_wait_minutes * 60:.0f}s"),
                ("statement_timeout", job.budget.statement_milliseconds),
            ):
                session.rows(load_sql("care/set"), {"name": name, "value": value})
            measured = _measured(job, session, index)
            if measured.fate is not IndexFate.POSTPONED or job.dry_run:
                return measured
            if why := _waited_in_vain(job, session, index):
                return replace(measured, why=why)
            return _rebuilt(job, session, measured)
    except TargetUnreachableError:
        raise
    except TdevError as error:
        return _failed(job, measured, error)


def _measured(job: Rebuilding, session: Session, index: Index) -> IndexDone:
    """Return the index measured; POSTPONED stands for: it should be rebuilt."""
    if job.instruments.pgstattuple is None:
        waste = index.waste_percent(at_most=False)
        if job.limits.rebuild_on_estimate and waste is not None and waste >= job.limits.estimated_waste_percent:
            return IndexDone(index, IndexFate.POSTPONED, why="a dry run rebuilds nothing")
        return IndexDone(index, IndexFate.ESTIMATED, why=job.instruments.lacking("pgstattuple"))
    if _now(session, index) is None:
        return IndexDone(index, IndexFate.GONE, why="it was dropped meanwhile")
    density = leaf_density(session, job.instruments, index)
    # Large without any entry: nothing but waste.
    if density is not None and density >= job.limits.leaf_density_percent:
        return IndexDone(index, IndexFate.DENSE, density=density)
    return IndexDone(index, IndexFate.POSTPONED, density=density or 0.0, why="a dry run rebuilds nothing")


def _waited_in_vain(job: Rebuilding, session: Session, index: Index) -> str:
    """Wait until nothing speaks against a rebuild, within the settings' bound; return what still does."""
    give_up = time.monotonic() + min(job.limits.lock_wait_minutes * 60, job.budget.left)
    while why := _objection(job, session, index):
        if time.monotonic() >= give_up:
            return why
        job.check()
        time.sleep(min(_LOOK_AGAIN_SECONDS, max(0.0, give_up - time.monotonic())))
    return ""


def _objection(job: Rebuilding, session: Session, index: Index) -> str:
    [now] = session.rows(load_sql("care/rebuild_guards"))
    if now["dump"]:
        return f"a dump runs ({now['dump']})"
    if (age := now["open_seconds"]) and age >= job.limits.old_transaction_minutes * 60:
        return f"a rebuild would wait for {now['holder']}, whose transaction is open for {span(age)}"
    if (lag := now["lag_bytes"]) and lag >= job.limits.replica_lag_mb * MB:
        return f"a standby is {_mb(lag)} behind"
    needed = index.bytes * job.limits.free_disk_multiple
    try:
        free = job.free_bytes()
    except TdevError as error:
        return f"nobody could see how much disk is free: {error}"
    if free is not None and free < needed:
        return f"{_mb(free)} of disk are free, and {_mb(needed)} are asked for"
    return ""


def _rebuilt(job: Rebuilding, session: Session, measured: IndexDone) -> IndexDone:
    index, began = measured.index, time.monotonic()
    job.progress(f"rebuilding {index.name}, {_mb(index.bytes)}")
    session.rows(index.statement)
    seconds = time.monotonic() - began
    new = _now(session, index)
    if new is None:
        return replace(measured, fate=IndexFate.GONE, why="it was dropped meanwhile")
    done = replace(measured, fate=IndexFate.REBUILT, new_bytes=new.bytes, seconds=seconds, why="")
    if job.instruments.pgstattuple is not None:
        done = replace(done, new_density=leaf_density(session, job.instruments, new))
    if job.instruments.amcheck is not None:
        try:
            verify(session, job.instruments, new)
            done = replace(done, checked=True)
        except GarbledAnswerError as error:
            return replace(done, fate=IndexFate.DAMAGED, why=str(error))
        except (BusyError, TargetTimeoutError):  # it is rebuilt all the same, and says that it was not looked through
            pass
    return done


def _failed(job: Rebuilding, measured: IndexDone, error: TdevError) -> IndexDone:
    """Leave no invalid index behind, and say what was in the way."""
    index = measured.index
    swept = sweep(job.database, job.journal, job.progress, [index.table_oid])
    with job.database.session(application_name=APPLICATION) as session:
        gone = _now(session, index) is None
        [now] = session.rows(load_sql("care/rebuild_guards"))
    left = f" {swept.kept[0].name} had to stay: {swept.kept[0].kept}." if swept.kept else ""
    if gone:
        return replace(measured, fate=IndexFate.GONE, why=f"it was dropped meanwhile.{left}")
    if isinstance(error, TargetTimeoutError):
        why = "it was cancelled, because no time was left"
    elif isinstance(error, BusyError):
        holder = f" for {now['holder']}" if now["holder"] else ""
        why = f"it waited {job.limits.lock_wait_minutes:g} min{holder}: {error}"
    else:
        return replace(measured, fate=IndexFate.FAILED, why=f"{error}{left}")
    return replace(measured, fate=IndexFate.POSTPONED, why=f"{why}{left}")


def _now(session: Session, index: Index) -> Index | None:
    rows = session.rows(load_sql("care/index_now"), {"schema": index.index_schema, "name": index.index_name})
    return replace(index, oid=rows[0]["oid"], bytes=rows[0]["bytes"]) if rows else None


def _table(index: Index) -> int:
    return index.table_oid


def _mb(size: float) -> str:
    return f"{size / MB:,.1f} MB"
