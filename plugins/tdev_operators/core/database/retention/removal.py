"""Removing rows: those of the archive one by one unchanged, the others by ranges; each transaction counted twice.

The protocol of a transaction: count, remove by short statements, compare, write the counts with the transaction's
number into `progress.json`, commit. Killed in between, the next try asks the database whether it was committed.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import pyarrow as pa

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.retention.archive import Part, opened_part
from tdev_operators.core.database.retention.columns import binds_of
from tdev_operators.core.database.retention.holders import holders
from tdev_operators.core.database.retention.pace import Pacer, Stride
from tdev_operators.core.database.retention.receipt import PROGRESS, Counts, Folder, Progress
from tdev_operators.core.database.retention.statements import Statements
from tdev_operators.core.errors import BusyError, DiskFullError, ProofFailedError, TdevError
from tdev_operators.core.sql import load_sql

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
        self._stride, self._archived_stride = pacer.stride(), pacer.stride()
        # Asked for thousands of times: composed once.
        self._remove_discarded = statements.remove_discarded().as_string()
        self._remove_archived_rows = statements.remove_archived().as_string()
        self._settle()

    @property
    def in_time(self) -> bool:
        """Whether another step may begin."""
        return time.monotonic() < self.limits.until

    def archived(self, parts: list[Part]) -> bool:
        """Remove the rows of the archive that stand unchanged; return whether all of it was seen to."""
        for part in parts[self.progress.part - 1 :]:
            with opened_part(self.folder, part) as opened:
                while self.progress.group < opened.num_row_groups:
                    if not self.in_time:
                        return False
                    rows = opened.read_row_group(self.progress.group)
                    following = {"part": part.number, "group": self.progress.group + 1}
                    self._batch(
                        f"row group {self.progress.group + 1} of part {part.number}",
                        lambda rows=rows, following=following: self._remove_archived(rows, following),  # type: ignore[misc]
                    )
            self.progress.part, self.progress.group = part.number + 1, 0
        return True

    def ranges(self) -> bool:
        """Remove what is discarded, range by range, in the table's order; return whether all of it was seen to."""
        table = self.statements.table
        order = [column.name for column in table.order]
        if self.progress.order != order:  # an index came or went since the last try: begin again, in the other order
            self.progress.begin_again(order)
            self.save()
        while not self.progress.ranges_done:
            if not self.in_time:
                return False
            self._refuse_without_index()
            # What is older than all times has none: it stays.
            first = ["-infinity"] if table.by_time else [None] * len(order)
            after = {f"after{at}": text for at, text in enumerate(self.progress.after or first)}
            where = f"the range behind {', '.join(map(str, after.values()))}"
            self._batch(where, lambda after=after: self._remove_range(after))  # type: ignore[misc]
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
        for name in ("part", "group", "after"):
            if name in pending:
                setattr(self.progress, name, pending[name])
        self.progress.pending = None

    def _batch(self, what: str, work: Callable[[], "_Done"]) -> None:
        """Do one transaction; one that runs into somebody's lock is tried again, then left out and reported."""
        self._position = {}
        for attempt in range(1, self.limits.tries + 1):
            self.check()
            started = time.monotonic()
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
            self.progress.counts.seconds += time.monotonic() - started
            self.pacer.blocked(done.waiters)
            self.pacer.rest(self.session, time.monotonic() - ending)
            return

    def _remove_archived(self, rows: pa.Table, position: dict[str, Any]) -> "_Done":
        self.session.rows(self.statements.readable(), {})
        self._position = position
        counts, at = Counts(batches=1), 0
        while at < len(rows):
            some = rows.slice(at, self._archived_stride.rows)
            with self._short_statement(self._archived_stride, len(some)):
                counts.add(self._remove_some_archived(some))
            at += len(some)
        return self._done(counts, position)

    def _remove_some_archived(self, rows: pa.Table) -> Counts:
        table = self.statements.table
        binds = binds_of(table.key, rows)
        removed = self.session.touched(self._remove_archived_rows, binds)
        left = 0
        if removed != len(rows) or table.side_effects:  # a key is there once: all of them went
            [row] = self.session.rows(self.statements.left_of_archived(), binds)
            left = row["rows"]
            if removed + left > len(rows):
                raise self._off("archived rows", len(rows), removed, left)
        # Those that were edited are looked at again with their range, and counted as kept there.
        return Counts(rows=removed, archived=removed, edited=left)

    def _remove_range(self, after: dict[str, Any]) -> "_Done":
        found = self.session.rows(self.statements.bound(), {**after, "size": self.pacer.size})
        if not found or found[0]["upto0"] is None:
            return _Done(None, {})
        [before] = found
        rows, first = before.pop("rows"), before.pop("first", None)
        bound = {**after, **before, "horizon": self.horizon}
        self._position = {"after": list(before.values())}
        removed = self._remove_pieces(bound, first, rows)
        left = {"rows": 0, "late": 0, "unarchived": 0}
        if removed != rows or self.statements.table.side_effects:  # else there is nothing left to be counted
            [left] = self.session.rows(self.statements.left_of_range(), bound)
        self._demand("a range of rows", rows, removed, left["rows"])
        counts = Counts(
            rows=rows,
            kept=left["rows"],
            discarded=removed,
            late=left["late"],
            unarchived=left["unarchived"],
            batches=1,
        )
        return self._done(counts, self._position)

    def _remove_pieces(self, bound: Mapping[str, Any], first: str | None, rows: int) -> int:
        """Remove a range of so many rows; one of time by equal pieces of it, each a short statement."""
        pieces = [bound]
        if first is not None and rows > self._stride.rows:
            span = {"first": first, "upto0": bound["upto0"], "pieces": -(-rows // self._stride.rows)}
            cuts = [row["at"] for row in self.session.rows(self.statements.cuts(), span)]
            places = pairwise([bound["after0"], *cuts, bound["upto0"]])
            pieces = [{**bound, "after0": after, "upto0": upto} for after, upto in places]
        removed = 0
        for piece in pieces:
            with self._short_statement(self._stride, rows // len(pieces)):
                removed += self.session.touched(self._remove_discarded, piece)
        return removed

    @contextmanager
    def _short_statement(self, stride: Stride, rows: int) -> Iterator[None]:
        """Learn from how long a statement for so many rows takes, and rest after it."""
        started = time.monotonic()
        yield
        seconds = time.monotonic() - started
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
