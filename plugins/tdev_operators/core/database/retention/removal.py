"""Removing rows by ranges, with those of the archive that stand unchanged; each transaction counted twice.

The protocol of a transaction: count, remove by short statements, compare, write the counts with the transaction's
number into `progress.json`, commit. Killed in between, the next try asks the database whether it was committed.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.retention.archive import ArchivedRows, Part
from tdev_operators.core.database.retention.columns import binds_of
from tdev_operators.core.database.retention.holders import holders
from tdev_operators.core.database.retention.pace import Pacer, Stride
from tdev_operators.core.database.retention.receipt import PROGRESS, Counts, Folder, Progress
from tdev_operators.core.database.retention.statements import Statements
from tdev_operators.core.errors import BusyError, DiskFullError, ProofFailedError, TdevError
from tdev_operators.core.sql import load_sql

_HEAVIER = 5
_PAUSE_SECONDS = 0.2  # between two tries, growing
# Statistics of a table that is being emptied are old: a few rows out of millions go by an index.
# And a worker that dies, or a store that hangs, between the rows' removal and the commit keeps nobody waiting.
BY_INDEX = """-- how rows are found in a transaction
SELECT set_config(name, 'off', true), set_config('idle_in_transaction_session_timeout', '30s', true)
FROM unnest(ARRAY['enable_seqscan', 'enable_hashjoin', 'enable_mergejoin']) AS t (name)"""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a removal waits for a lock, how often it tries, until when (`time.monotonic`) it begins anything."""

    lock_timeout_ms: int
    tries: int
    until: float


@dataclass(frozen=True, slots=True)
class _Done:
    """What a transaction did, before its commit; without counts there was nothing left. `waiters`: whom it blocks."""

    counts: Counts | None
    position: dict[str, Any]
    xid: str = ""
    waiters: int = 0


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
        """Read how far a predecessor came, and settle what it had begun."""
        self.session, self.statements, self.folder, self.pacer = session, statements, folder, pacer
        self.horizon, self.limits, self.check = horizon, limits, check
        found = folder.read(PROGRESS)
        self.progress = Progress.of_json(found) if found else Progress()
        self._position: dict[str, Any] = {}  # where the transaction that is under way ends
        self._stride = pacer.stride()
        self._archived_stride = pacer.stride(_HEAVIER)  # it looks rows up, and their pages are in the log already
        # Asked for thousands of times: composed once.
        self._remove_discarded = statements.remove_discarded().as_string()
        self._remove_archived_of_range = statements.remove_archived().as_string()
        self._settle()

    @property
    def in_time(self) -> bool:
        """Whether another step may begin."""
        return time.monotonic() < self.limits.until

    def walk(self, parts: list[Part], order: list[str]) -> bool:
        """Remove what is due, range by range, in the table's order; return whether all of it was seen to.

        What is discarded goes together with the rows of the archive, which is in this `order`, that stand unchanged.
        """
        table, walked = self.statements.table, [column.name for column in self.statements.table.order]
        if self.progress.order != walked:  # an index came or went since the last try: begin again, in the other order
            self.progress.order, self.progress.after = walked, None
        with ArchivedRows(self.folder, parts) as archived:
            while order != walked and self._next_archived(archived):
                if not self.in_time:
                    return False
                self._batch(f"archived rows from {archived.place} on", lambda: self._remove_out_of_order(archived))
            while not self.progress.ranges_done:
                if not self.in_time:
                    return False
                self._refuse_without_index()
                # What is older than all times has none: it stays.
                after: list[Any] = self.progress.after or (["-infinity"] if table.by_time else [None] * len(walked))
                where = f"the range behind {', '.join(map(str, after))}"
                self._batch(where, lambda after=after: self._remove_range(after, archived))  # type: ignore[misc]
        return True

    def save(self) -> None:
        """Write how far it is."""
        self.folder.write(PROGRESS, self.progress.to_json())

    def begin(self, counts: Counts, step: dict[str, Any]) -> None:
        """Write down a step before it becomes true."""
        self.progress.pending = {"counts": asdict(counts), **step}
        self.save()

    def end(self) -> None:
        """Count the step that was begun; it is true now."""
        pending = self.progress.pending or {}
        self.progress.counts.add(Counts(**pending["counts"]))
        for name in ("part", "group", "row", "after"):
            if name in pending:
                setattr(self.progress, name, pending[name])
        self.progress.pending = None

    def _batch(self, what: str, work: Callable[[], "_Done"]) -> None:
        """Do one transaction; one that runs into somebody's lock is tried again, then left out and reported."""
        self._position = {}
        for attempt in range(1, self.limits.tries + 1):
            self.check()
            self.session.rows("BEGIN ISOLATION LEVEL REPEATABLE READ")
            try:
                self.session.rows(BY_INDEX)
                done, ending = work(), time.monotonic()
                if done.counts is not None:
                    self.begin(done.counts, {"xid": done.xid, **done.position})
                self.session.rows("COMMIT")
            except DiskFullError:
                self._roll_back()
                raise
            except BusyError as error:
                self._roll_back()
                if attempt == self.limits.tries:
                    if not self._position:  # not even where it ends could be read: the table is locked whole
                        raise
                    self._leave_out(what, error)
                    return
                time.sleep(_PAUSE_SECONDS * attempt)
                continue
            except BaseException:
                self._roll_back()
                raise
            if done.counts is None:
                self.progress.ranges_done = True
                return
            self.end()
            self.pacer.blocked(done.waiters)
            self.pacer.rest(self.session, time.monotonic() - ending)
            return

    def _next_archived(self, archived: ArchivedRows) -> bool:
        """Go to the first row of the archive that no transaction has seen to; return whether there is one."""
        progress = self.progress
        archived.go_to(part=progress.part, group=progress.group, row=progress.row)
        return archived.next_rows(1) is not None

    def _remove_out_of_order(self, archived: ArchivedRows) -> "_Done":
        """Remove rows of an archive that is in another order than the ranges are."""
        self.session.rows(self.statements.readable(), {})
        self._next_archived(archived)
        rows = len(archived.next_rows(self.pacer.size) or ())
        self._position = {**archived.place, "row": archived.place["row"] + rows}
        removed, edited = self._remove_archived(archived, None, rows)
        # Those that were edited are looked at again with their range, and counted as kept there.
        return self._done(Counts(rows=removed, archived=removed, edited=edited, batches=1), self._position)

    def _remove_range(self, after: Sequence[Any], archived: ArchivedRows) -> "_Done":
        behind = {f"after{at}": text for at, text in enumerate(after)}
        found = self.session.rows(self.statements.bound(), {**behind, "size": self.pacer.size})
        if not found or found[0]["upto0"] is None:
            return _Done(None, {})
        [before] = found
        rows, first = before.pop("rows"), before.pop("first", None)
        bound = {**behind, **before, "horizon": self.horizon}
        # Were this range left out, the next one would pass its archived rows.
        self._position = {"after": list(before.values())}
        discarded = self._remove_steps(bound, first, rows) if self.statements.discards else 0
        self._next_archived(archived)
        removed, edited = self._remove_archived(archived, bound, rows)
        left = {"rows": 0, "late": 0, "unarchived": 0}
        # Else there is nothing left to be counted.
        if discarded + removed != rows or self.statements.table.side_effects:
            [left] = self.session.rows(self.statements.left_of_range(), bound)
        self._demand("a range of rows", rows, discarded + removed, left["rows"])
        counts = Counts(
            rows=rows,
            kept=left["rows"],
            archived=removed,
            discarded=discarded,
            edited=edited,
            late=left["late"],
            unarchived=left["unarchived"],
            batches=1,
        )
        return self._done(counts, {**self._position, **archived.place})

    def _remove_archived(self, archived: ArchivedRows, bound: Mapping[str, Any] | None, most: int) -> tuple[int, int]:
        """Remove the archive's next rows, those of a range or so many; return how many went, how many were edited."""
        table, of_range = self.statements.table, bound is not None
        remove = self._remove_archived_of_range if of_range else self.statements.remove_archived(of_range=False)
        removed = edited = asked = 0
        while (of_range or asked < most) and (rows := archived.next_rows(min(self._archived_stride.rows, most))):
            started = time.monotonic()
            binds = {**binds_of(table.walk, rows), **(bound or {})}
            [went] = self.session.rows(remove, binds)
            left = 0
            if went["removed"] != went["asked"] or table.side_effects:  # a key is there once: all of them went
                [row] = self.session.rows(self.statements.left_of_archived(of_range=of_range), binds)
                left = row["rows"]
                if went["removed"] + left > went["asked"]:
                    raise self._off("archived rows", went["asked"], went["removed"], left)
            removed, edited = removed + went["removed"], edited + left
            archived.passed(went["passed"])
            asked += went["asked"]
            self._breathe(self._archived_stride, len(rows), time.monotonic() - started)
            if went["passed"] < len(rows):
                break
        return removed, edited

    def _remove_steps(self, bound: Mapping[str, Any], first: str | None, rows: int) -> int:
        """Remove a range of so many rows; one of time by equal pieces of it, each a short statement."""
        cuts: list[str] = []
        if first is not None and rows > self._stride.rows:
            span = {"first": first, "upto0": bound["upto0"], "steps": -(-rows // self._stride.rows)}
            cuts = [row["at"] for row in self.session.rows(self.statements.cuts(), span)]
        pieces = (
            [bound]
            if not cuts
            else [
                {**bound, "after0": after, "upto0": upto}
                for after, upto in pairwise([bound["after0"], *cuts, bound["upto0"]])
            ]
        )
        removed = 0
        for piece in pieces:
            started = time.monotonic()
            removed += self.session.touched(self._remove_discarded, piece)
            self._breathe(self._stride, rows // len(pieces), time.monotonic() - started)
        return removed

    def _breathe(self, stride: Stride, rows: int, seconds: float) -> None:
        stride.took(rows, seconds)
        self.pacer.breathe(seconds)

    def _done(self, counts: Counts, position: dict[str, Any]) -> "_Done":
        [now] = self.session.rows(load_sql("retention/own_transaction"))
        return _Done(counts, position, now["xid"], now["waiters"])

    def _demand(self, what: str, before: int, removed: int, left: int) -> None:
        if before != left + removed:
            raise self._off(what, before, removed, left)

    def _off(self, what: str, before: int, removed: int, left: int) -> ProofFailedError:
        return ProofFailedError(
            f"The balance of {what} of {self.statements.table.title} does not hold: {before} before, {removed} "
            f"removed, {left} left; the transaction was rolled back and the run stopped. Look for triggers and "
            "rules that act on its rows."
        )

    def _refuse_without_index(self) -> None:
        table = self.statements.table
        if table.index not in {
            row["name"] for row in self.session.rows(load_sql("retention/indexes"), {"oid": table.oid})
        }:
            raise BusyError(
                f"The index {table.index} of {table.title} was dropped meanwhile; the next try goes another way."
            )

    def holders(self, seconds: float | None = None) -> str:
        """Name who has held the table, or a part of it, for so long (as they stand: as long as we wait for a lock)."""
        longer = self.limits.lock_timeout_ms / 1000 if seconds is None else seconds
        return holders(self.session, self.statements.table.oid, seconds=longer)

    def _leave_out(self, what: str, error: TdevError) -> None:
        named = self.holders(0)
        self.progress.left.append(f"{what}: {named or error}")
        self.progress.pending = None
        for name, value in self._position.items():
            setattr(self.progress, name, value)
        self.save()

    def _roll_back(self) -> None:
        try:
            self.session.rows("ROLLBACK")
        except TdevError:  # the connection is gone, and the transaction with it: the next try asks how it ended
            return

    def _settle(self) -> None:
        """Ask how the transaction ended that a predecessor had begun."""
        pending = self.progress.pending
        if pending is None or "xid" not in pending:
            return
        [row] = self.session.rows(load_sql("retention/transaction"), {"xid": pending["xid"]})
        match row["status"]:
            case "committed":
                self.end()
            case "aborted":
                self.progress.pending = None
            case "in progress":
                raise BusyError(
                    f"A transaction of an earlier try on {self.statements.table.title} is not over; wait for its end."
                )
            case _:
                self.progress.unsure.append(f"transaction {pending['xid']}: {pending['counts']}")
                self.progress.pending = None
