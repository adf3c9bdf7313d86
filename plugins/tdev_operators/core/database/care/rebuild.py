"""REINDEX INDEX CONCURRENTLY where it was measured: guarded, bounded, two at once at most, and looked at afterwards."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby
from threading import Event, Lock

from tdev_operators.core.backup.ports import Session, SourceDatabase
from tdev_operators.core.database.alone import APPLICATION
from tdev_operators.core.database.care.budget import Budget
from tdev_operators.core.database.care.disk import Disk
from tdev_operators.core.database.care.indexes import MB, Index
from tdev_operators.core.database.care.leftovers import Sweeping
from tdev_operators.core.database.care.measure import Instruments, leaf_density, verify
from tdev_operators.core.database.care.settings import CareSettings
from tdev_operators.core.database.care.yielding import yielding
from tdev_operators.core.errors import (
    BusyError,
    DiskFullError,
    GarbledAnswerError,
    TargetTimeoutError,
    TargetUnreachableError,
    TdevError,
)
from tdev_operators.core.reporting.wording import span
from tdev_operators.core.sql import load_sql

_LOOK_AGAIN_SECONDS = 5.0
_READ_LOCK_SECONDS = 10.0
_FILLFACTOR = 90.0  # of a B-tree, unless somebody said otherwise
_DRY = "a dry run rebuilds nothing"


class IndexFate(StrEnum):
    """How the care of one index ended."""

    REBUILT = "rebuilt"
    DENSE = "dense enough"  # measured: the estimate was wrong
    ESTIMATED = "only estimated"  # nothing is there to measure it with
    POSTPONED = "postponed"
    REFUSED = "refused"
    FAILED = "failed"
    DAMAGED = "damaged"
    DISK_FULL = "found the disk full"
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
            checked = "every row found in it" if self.checked else f"not looked through: {self.why}"
            return f"{told} -> {_mb(self.new_bytes)}{new}; rebuilt in {span(self.seconds)}, {checked}"
        waste = self.index.waste_percent(at_most=True)
        guessed = f", estimated waste {waste:.0f} %" if waste is not None and self.density is None else ""
        return f"{told}{guessed}; {self.fate.value}" + (f": {self.why}" if self.why else "")


@dataclass(frozen=True, slots=True)
class Rebuilding:
    """What a rebuild needs: limits, instruments, the time, the disk, and what sweeps up behind one that failed."""

    database: SourceDatabase
    limits: CareSettings
    instruments: Instruments
    budget: Budget
    disk: Disk
    sweeping: Sweeping
    note: Callable[[IndexDone], None]  # called for each index that is rebuilt
    check: Callable[[], None]
    progress: Callable[[str], object]
    dry_run: bool = False

    @property
    def lock_seconds(self) -> float:
        """How long a rebuild waits for other transactions."""
        return self.limits.indexes.lock_wait_minutes * 60


def care_for_indexes(job: Rebuilding, suspects: Sequence[Index]) -> list[IndexDone]:
    """Measure the suspects, rebuild what is thin, and return what became of each, in their order.

    Indexes of one table are rebuilt one after the other: a rebuild keeps others from its table. Once one has found the
    disk full, none is begun.

    Raises:
        TargetUnreachableError: the server went away. BusyError: the work is no longer ours (`check`).
    """
    ended, guard, disk_full = list[IndexDone](), Lock(), Event()
    by_table = [list(group) for _, group in groupby(sorted(suspects, key=_table), key=_table)]
    # The tables with the most to win first.
    by_table.sort(key=lambda group: -sum(index.bytes for index in group))

    def work(group: list[Index]) -> None:
        for index in group:
            job.check()
            if disk_full.is_set():
                one = IndexDone(index, IndexFate.POSTPONED, why="the disk was full")
            else:
                one = _cared_for(job, index)
            if one.fate is IndexFate.DISK_FULL:
                disk_full.set()
            elif one.fate is IndexFate.REBUILT:
                job.note(one)
            with guard:
                ended.append(one)
                job.progress(f"{len(ended)} of {len(suspects)}: {one.line}")

    with ThreadPoolExecutor(job.limits.indexes.rebuild_at_once, "rebuild") as pool:
        under_way = [pool.submit(work, group) for group in by_table]
        try:
            for each in under_way:
                each.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    places = {index.oid: place for place, index in enumerate(suspects)}
    return sorted(ended, key=lambda one: places[one.index.oid])


def _cared_for(job: Rebuilding, index: Index) -> IndexDone:
    if not index.may:
        return IndexDone(index, IndexFate.REFUSED, why=f"it belongs to {index.owner}")
    if not job.budget.left:
        return IndexDone(index, IndexFate.POSTPONED, why="no time was left")
    measured = IndexDone(index, IndexFate.ESTIMATED)
    with job.database.session(application_name=APPLICATION) as session:
        try:
            measured = _measured(job, session, index)
        except TargetUnreachableError:
            raise
        except TdevError as error:
            return _given_up(job, measured, error, "")
        if measured.fate is not IndexFate.POSTPONED or job.dry_run:
            return measured
        try:
            # Outside of what is caught: when the work is no longer ours, it ends here.
            if why := _waited_in_vain(job, session, index):
                return replace(measured, why=why)
            return _rebuilt(job, session, measured)
        finally:
            job.disk.release(index.oid)


def _measured(job: Rebuilding, session: Session, index: Index) -> IndexDone:
    """Return the index measured; POSTPONED stands for: it should be rebuilt."""
    limits = job.limits.indexes
    if job.instruments.pgstattuple is None:
        waste = index.waste_percent(at_most=False)
        if limits.rebuild_on_estimate and waste is not None and waste >= limits.estimated_waste_percent:
            return IndexDone(index, IndexFate.POSTPONED, why=_DRY)
        return IndexDone(index, IndexFate.ESTIMATED, why=job.instruments.lacking("pgstattuple"))
    if _now(session, index) is None:
        return IndexDone(index, IndexFate.GONE, why="it was dropped meanwhile")
    job.budget.bound(session, _READ_LOCK_SECONDS)
    density = leaf_density(session, job.instruments, index)
    # An index that is made with room to spare is not thin for that. Large without any entry: nothing but waste.
    wanted = limits.leaf_density_percent * index.fillfactor / _FILLFACTOR
    if density is not None and density >= wanted:
        return IndexDone(index, IndexFate.DENSE, density=density)
    return IndexDone(index, IndexFate.POSTPONED, density=density or 0.0, why=_DRY)


def _waited_in_vain(job: Rebuilding, session: Session, index: Index) -> str:
    """Wait until nothing speaks against a rebuild, within the settings' bound; return what still does."""
    slowest = index.bytes / MB / job.limits.indexes.least_mb_a_second
    if slowest > job.budget.left:
        return f"it may take {span(slowest)}, and {span(job.budget.left)} are left (care.minutes); or run {index.text}"
    give_up = time.monotonic() + min(job.lock_seconds, job.budget.left)
    while why := _objection(job, session, index):
        if time.monotonic() >= give_up:
            return why
        job.check()
        time.sleep(min(_LOOK_AGAIN_SECONDS, max(0.0, give_up - time.monotonic())))
    return ""


def _objection(job: Rebuilding, session: Session, index: Index) -> str:
    limits = job.limits.indexes
    try:
        [now] = session.rows(load_sql("care/rebuild_guards"), {"ours": APPLICATION})
        if not now["sees_all_sessions"]:
            return "our role sees only its own sessions; GRANT pg_monitor to it"
        if now["dump"]:
            return f"a dump runs ({now['dump']})"
        if (age := now["open_seconds"]) and age >= limits.old_transaction_minutes * 60:
            return f"a rebuild would wait for {now['holder']}, whose transaction is open for {span(age)}"
        if (behind := now["behind_bytes"]) and behind >= limits.behind_mb * MB:
            return f"{now['reader']} has {_mb(behind)} of WAL to read"
        return job.disk.lacks(index.oid, index.bytes * limits.free_disk_multiple)
    except TargetUnreachableError:
        raise
    except TdevError as error:
        return f"nobody could see whether there is room: {error}"


def _rebuilt(job: Rebuilding, session: Session, measured: IndexDone) -> IndexDone:
    index, began = measured.index, time.monotonic()
    job.progress(f"rebuilding {index.name}, {_mb(index.bytes)}")
    job.budget.bound(session, job.lock_seconds)
    try:
        with yielding(job.database, session, job.limits.yield_seconds) as given_way:
            session.rows(index.statement)
    except TargetUnreachableError:
        raise
    except TdevError as error:
        return _given_up(job, measured, error, given_way.why if given_way.to else "")
    seconds = time.monotonic() - began
    new = _now(session, index)
    if new is None:
        return replace(measured, fate=IndexFate.GONE, why="it was dropped meanwhile")
    done = replace(measured, fate=IndexFate.REBUILT, new_bytes=new.bytes, seconds=seconds, why="")
    return _looked_at(job, session, done, new)


def _looked_at(job: Rebuilding, session: Session, done: IndexDone, new: Index) -> IndexDone:
    """Measure the new index, and look whether every row is in it; who has to wait for that goes first."""
    if job.instruments.amcheck is None:
        done = replace(done, why=job.instruments.lacking("amcheck"))
    with yielding(job.database, session, job.limits.yield_seconds) as given_way:
        try:
            job.budget.bound(session, _READ_LOCK_SECONDS)
            if job.instruments.pgstattuple is not None:
                done = replace(done, new_density=leaf_density(session, job.instruments, new))
            if job.instruments.amcheck is not None:
                job.budget.bound(session, _READ_LOCK_SECONDS)
                verify(session, job.instruments, new)
                done = replace(done, checked=True)
        except GarbledAnswerError as error:
            return replace(done, fate=IndexFate.DAMAGED, why=str(error))
        except (BusyError, TargetTimeoutError) as error:
            return replace(done, why=given_way.why if given_way.to else str(error))
    return done


def _given_up(job: Rebuilding, measured: IndexDone, error: TdevError, gave_way: str) -> IndexDone:
    """Leave no invalid index behind, and say what was in the way."""
    index = measured.index
    try:
        swept = job.sweeping.sweep([index.table_oid])
    except TargetUnreachableError as away:
        if isinstance(error, DiskFullError):  # a server that cannot write its log goes down
            raise TargetUnreachableError(f"{error} And then: {away}") from None
        raise
    with job.database.session(application_name=APPLICATION) as session:
        gone = _now(session, index) is None
        [now] = session.rows(load_sql("care/rebuild_guards"), {"ours": APPLICATION})
    left = f" {swept.kept[0].name} had to stay: {swept.kept[0].kept.rstrip('.')}." if swept.kept else ""
    if gone:
        return replace(measured, fate=IndexFate.GONE, why=f"it was dropped meanwhile.{left}")
    if isinstance(error, DiskFullError):
        return replace(measured, fate=IndexFate.DISK_FULL, why=f"{error}{left}")
    if gave_way:
        why = gave_way
    elif isinstance(error, TargetTimeoutError):
        why = "it was cancelled, because no time was left"
    elif isinstance(error, BusyError):
        holder = f" for {now['holder']}" if now["holder"] else ""
        why = f"it waited {span(job.lock_seconds)}{holder}: {error}"
    else:
        return replace(measured, fate=IndexFate.FAILED, why=f"{error}{left}")
    return replace(measured, fate=IndexFate.POSTPONED, why=f"{why.rstrip('.')}.{left}" if left else why)


def _now(session: Session, index: Index) -> Index | None:
    rows = session.rows(load_sql("care/index_now"), {"schema": index.index_schema, "name": index.index_name})
    return replace(index, oid=rows[0]["oid"], bytes=rows[0]["bytes"]) if rows else None


def _table(index: Index) -> int:
    return index.table_oid


def _mb(size: float) -> str:
    return f"{size / MB:,.1f} MB"
