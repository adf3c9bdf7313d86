"""Removing rows: those of the archive one by one unchanged, the others by ranges; each transaction counted twice.

The protocol of a stretch of transactions: write into `progress.json` how many rows stand there, let the server remove
them, take over what it has committed. Killed in between, the next try counts what still stands.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.retention.archive import Part, opened_part
from tdev_operators.core.database.retention.columns import binds_of
from tdev_operators.core.database.retention.holders import holders
from tdev_operators.core.database.retention.pace import Pacer, Stride
from tdev_operators.core.database.retention.receipt import PROGRESS, Counts, Folder, Progress
from tdev_operators.core.database.retention.statements import Statements
from tdev_operators.core.database.retention.stretches import Done, archive_stretch, give, range_stretch
from tdev_operators.core.database.transactions import again_when_busy
from tdev_operators.core.errors import BusyError, DiskFullError, ProofFailedError, TdevError
from tdev_operators.core.sql import load_sql

_PAUSE_SECONDS = 0.2  # between two tries, growing
_NOTED_SECONDS = 1.0
_STRETCH_SECONDS = 2.0  # so long nobody looks after time, replicas and log


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a removal waits for a lock, how often it tries, until when (`time.monotonic`) it begins anything."""

    lock_timeout_ms: int
    tries: int
    until: float


class Removal:
    """The removal of one table's rows in one run. `check` raises when the run is no longer ours."""

    def __init__(
        self,
        session: Session,
        statements: Statements,
        folder: Folder,
        horizon: str,
        pacer: Pacer,
        limits: Limits,
        check: Callable[[], None],
    ) -> None:
        """Read how far a predecessor came."""
        self.session, self.statements, self.folder, self.pacer = session, statements, folder, pacer
        self.horizon, self.limits, self.check = horizon, limits, check
        found = folder.read(PROGRESS)
        self.progress = Progress.of_json(found) if found else Progress()
        self._noted, self._block_under_way = 0.0, False
        self._range_stride, self._archive_stride = pacer.stride(), pacer.stride()

    @property
    def in_time(self) -> bool:
        """Whether another step may begin."""
        return time.monotonic() < self.limits.until

    def settle(self, parts: list[Part]) -> None:
        """Count what a predecessor removed after his last line: what stood there and does no more.

        He is gone: his session held the lock that ours holds now.
        """
        pending, counts = self.progress.pending, self.progress.counts
        if pending is None or "partition" in pending:
            return
        gone = late = 0
        if "group" in pending:
            with opened_part(self.folder, parts[self.progress.part - 1]) as opened:
                binds = binds_of(self.statements.table.key, opened.read_row_group(pending["group"]))
            [now] = self.session.rows(self.statements.left_of_archived(), binds)
            gone = max(0, pending["rows"] - now["rows"])
            counts.add(Counts(rows=gone, archived=gone))
        elif "ranges" in pending and self.progress.before is not None:
            [now] = self.session.rows(self.statements.standing(), {"seen": self.progress.seen})
            most = max(0, self.progress.before - now["rows"] - counts.archived - counts.discarded)
            # A row that was edited since looks like one that went, and another one that came.
            gone = max(0, most - now["late"])
            late = most - gone
            counts.add(Counts(rows=gone, discarded=gone))
        else:
            self.progress.unsure.append("what was removed by a try of another version, which was cut off")
        self.progress.remarks.append(f"a try was cut off: {gone} rows that stood there before are counted as gone")
        if late:
            self.progress.unsure.append(f"up to {late} more rows went with them, or were edited meanwhile")
        self.progress.pending = None
        self.save()

    def give_up(self, why: str) -> None:
        """Count nothing of what a predecessor was cut off in."""
        if self.progress.pending is not None:
            self.progress.unsure.append(why)
            self.progress.pending = None
            self.save()

    def close(self) -> None:
        """Write down where it stands, unless that is not known: a block, or a partition, is under way."""
        if self._block_under_way or "partition" in (self.progress.pending or {}):
            return
        self.progress.pending = None
        self.save()

    def archived(self, parts: list[Part]) -> bool:
        """Remove the rows of the archive that stand unchanged; return whether all of it was seen to."""
        if parts and not self.statements.table.partitioned:
            self._count_before()  # as long as no page was touched, an index alone can be counted
        for part in parts[self.progress.part - 1 :]:
            with opened_part(self.folder, part) as opened:
                while self.progress.group < opened.num_row_groups:
                    if not self._remove_archived(opened.read_row_group(self.progress.group)):
                        return False
            self.progress.part, self.progress.group = part.number + 1, 0
        return True

    def ranges(self) -> bool:
        """Remove what is discarded, range by range, in the table's order; return whether all of it was seen to."""
        order = self._order
        if self.progress.order != order:  # an index came or went since the last try: begin again, in the other order
            self.progress.begin_again(order)
            self.save()
        # What is older than all times has none: it stays.
        first = ["-infinity"] if self.statements.table.by_time else [None] * len(order)
        self._count_before()
        block, stuck = range_stretch(self.statements, self.horizon), False
        while self.in_time and not self.progress.ranges_done:
            self._refuse_without_index()
            self._note_ranges()
            stuck = self._remove_range(block, self.progress.after or first, stuck=stuck)
        self.progress.pending = None
        return self.progress.ranges_done

    def save(self) -> None:
        """Write how far it is."""
        self.folder.write(PROGRESS, self.progress.to_json())

    def begin(self, step: dict[str, Any]) -> None:
        """Write down a step before it becomes true."""
        self.progress.pending = step
        self.save()

    def end(self) -> None:
        """Count the step that was begun; it is true now."""
        self.progress.counts.add(Counts(**(self.progress.pending or {})["counts"]))
        self.progress.pending = None

    def holders(self, seconds: float | None = None) -> str:
        """Name who has held the table, or a part of it, for so long (as they stand: as long as we wait for a lock)."""
        longer = self.limits.lock_timeout_ms / 1000 if seconds is None else seconds
        return holders(self.session, self.statements.table.oid, seconds=longer)

    def _remove_archived(self, rows: pa.Table) -> bool:
        """Remove the rows of a row group, or what nobody holds of them; return whether there was time for it."""
        statements, stride, at, edited, held = self.statements, self._archive_stride, 0, 0, None
        again_when_busy(self.limits.tries, lambda: self.session.rows(statements.readable(), {}))
        binds, block = binds_of(statements.table.key, rows), archive_stretch(statements)
        [standing] = self.session.rows(statements.left_of_archived(), binds)
        self.begin({"group": self.progress.group, "rows": standing["rows"]})
        while at < len(rows) and held is None:
            if not self.in_time:
                self.progress.pending = None
                return False
            given = {"sent": binds, "start": at, "rows": len(rows)}
            done, held = self._work_off(block, given, stride)
            at, edited = (done.at[0] if done.at else at), edited + done.kept
            self.progress.counts.add(Counts(rows=done.removed, archived=done.removed, batches=done.times))
            self._demand("archived rows", done)
            self.pacer.rest(self.session, done.seconds)
        # Those that were edited are looked at again with their range, and counted as kept there.
        self.progress.counts.edited += edited
        self.progress.group, self.progress.pending = self.progress.group + 1, None
        if held is not None:
            place = f"row group {self.progress.group} of part {self.progress.part}"
            self._leave_out(f"rows {at + 1} to {len(rows)} of {place}", held)
        return True

    @property
    def _order(self) -> list[str]:
        return [column.name for column in self.statements.table.order]

    def _count_before(self) -> None:
        if self.progress.before is None:
            [now] = self.session.rows(self.statements.walked(), {})
            gone = self.progress.counts.archived + self.progress.counts.discarded
            self.progress.before, self.progress.seen, self.progress.order = now["rows"] + gone, now["seen"], self._order

    def _note_ranges(self) -> None:
        """Write down, once a second, how far the ranges are; what is gone since is counted by what stands."""
        if self.progress.pending is None or time.monotonic() > self._noted + _NOTED_SECONDS:
            self.begin({"ranges": True})
            self._noted = time.monotonic()

    def _remove_range(self, block: str, after: list[Any], *, stuck: bool) -> bool:
        """Remove a range; return whether somebody holds rows of it, which are left. `stuck`: of the one before, too."""
        stride, rows = self._range_stride, self.pacer.size
        done, held = self._work_off(block, {"after": after, "rows": rows}, stride)
        self.progress.after, self.progress.ranges_done = done.at or after, done.over
        self.progress.counts.add(
            Counts(
                rows=done.removed + done.kept,
                kept=done.kept,
                discarded=done.removed,
                late=done.late,
                unarchived=done.unarchived,
                batches=done.times,
            )
        )
        self._demand("a range of rows", done)
        self.pacer.rest(self.session, done.seconds)
        if held is None:
            return False
        # One transaction's rows are left. But whoever holds those behind them, too, may hold all of them.
        end = again_when_busy(self.limits.tries, lambda: self._bound(after, rows if stuck else min(stride.rows, rows)))
        if end is None:
            raise held
        self.progress.after = end
        self._leave_out(f"the range behind {', '.join(map(str, after))}", held)
        return True

    def _bound(self, after: list[Any], size: int) -> list[str] | None:
        """Return where the range of so many rows ends; None: nothing is left."""
        binds = {f"after{at}": value for at, value in enumerate(after)}
        found = self.session.rows(self.statements.bound(), {**binds, "size": size})
        if not found or found[0]["upto0"] is None:
            return None
        return [value for name, value in found[0].items() if name != "rows"]

    def _work_off(self, block: str, given: dict[str, Any], stride: Stride) -> tuple[Done, BusyError | None]:
        """Do a stretch, or what of it comes before somebody's lock; who stops it when nothing at all can be done."""
        for attempt in range(1, self.limits.tries + 1):
            self.check()
            size = min(stride.rows, given["rows"])
            give(self.session, size=size, seconds=_STRETCH_SECONDS, **given)
            self._block_under_way = True
            held = self._carry_out(block)
            done = Done.read(self.session)
            self._block_under_way = False
            blocked = self.pacer.blocked(done.waiters)
            if done.times:
                stride.took((done.removed + done.kept) // done.times, done.seconds / done.times, blocked=blocked)
            if held is None or done.times:
                return done, None
            if attempt < self.limits.tries:
                time.sleep(_PAUSE_SECONDS * attempt)
        return done, held

    def _carry_out(self, block: str) -> BusyError | None:
        try:
            self.session.rows(block)
        except DiskFullError:  # no lock, and no better at the next try
            raise
        except BusyError as error:
            return error
        return None

    def _demand(self, what: str, done: Done) -> None:
        if not done.off:
            return
        before, removed, left = done.off
        raise ProofFailedError(
            f"The balance of {what} of {self.statements.table.title} does not hold: {before} before, {removed} "
            f"removed, {left} left; the transaction was rolled back and the run stopped. Look for triggers and "
            "rules that act on its rows."
        )

    def _refuse_without_index(self) -> None:
        table = self.statements.table
        if not self.session.rows(load_sql("retention/index_stands"), {"oid": table.oid, "name": table.index}):
            raise BusyError(
                f"The index {table.index} of {table.title} was dropped meanwhile; the next try goes another way."
            )

    def _leave_out(self, what: str, error: TdevError) -> None:
        self.progress.left.append(f"{what}: {self.holders(0) or error}")
        self.save()
