"""Removing rows: those of the archive one by one unchanged, the others by ranges; each transaction counted twice.

The protocol of a transaction: remove, count, compare, write the counts with the transaction's number into `progress.json`,
commit. Killed in between, the next try asks the database whether that transaction was committed.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from psycopg.sql import SQL, Composed, Literal

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.retention.archive import Part, opened_part
from tdev_operators.core.database.retention.columns import binds_of
from tdev_operators.core.database.retention.pace import Pacer
from tdev_operators.core.database.retention.receipt import PROGRESS, Counts, Folder, Progress
from tdev_operators.core.database.retention.statements import Statements
from tdev_operators.core.errors import BusyError, ProofFailedError, TdevError
from tdev_operators.core.sql import load_sql

_PAUSE_SECONDS = 0.2  # between two tries, growing


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a removal may wait for a lock, how often it tries, and until when (`time.monotonic`) it begins anything."""

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
        """Read how far a predecessor came, and settle what it had begun."""
        self.session, self.statements, self.folder, self.pacer = session, statements, folder, pacer
        self.horizon, self.limits, self.check = horizon, limits, check
        found = folder.read(PROGRESS)
        self.progress = Progress.of_json(found) if found else Progress()
        self._settle()

    @property
    def in_time(self) -> bool:
        """Whether another step may begin."""
        return time.monotonic() < self.limits.until

    def archived(self, parts: list[Part]) -> bool:
        """Remove the rows of the archive that stand unchanged; return whether all of it was seen to."""
        statements, columns = self.statements, self.statements.table.columns
        for part in parts[self.progress.part - 1 :]:
            with opened_part(self.folder, part) as opened:
                while self.progress.group < opened.num_row_groups:
                    if not self.in_time:
                        return False
                    rows = opened.read_row_group(self.progress.group)
                    binds = binds_of(statements.table.key, rows) | {"digest": binds_of(columns[:1], rows)["digest"]}
                    next_group = {"part": part.number, "group": self.progress.group + 1}
                    self._batch(
                        f"archived rows {self.progress.group + 1} of part {part.number}",
                        lambda binds=binds: self._remove_archived(binds),  # type: ignore[misc]
                        next_group,
                    )
            self.progress.part, self.progress.group = part.number + 1, 0
        return True

    def ranges(self) -> bool:
        """Remove what is discarded, range by range, in the table's order; return whether all of it was seen to."""
        order = [column.name for column in self.statements.table.order]
        if self.progress.order != order:  # an index came or went since the last try: begin again, in the other order
            self.progress.order, self.progress.after = order, None
        while not self.progress.ranges_done:
            if not self.in_time:
                return False
            self._refuse_without_index()
            after = {f"after{at}": text for at, text in enumerate(self.progress.after or ())}
            bound = self.statements.bound(resumed=bool(after))
            found = self.session.rows(bound, {**after, "size": self.pacer.size})
            if not found:
                self.progress.ranges_done = True
                break
            [upto] = found
            self._batch(
                f"the range up to {', '.join(upto.values())}",
                lambda binds={**after, **upto}: self._remove_range(binds),  # type: ignore[misc]
                {"after": list(upto.values())},
            )
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

    def _batch(self, what: str, work: Callable[[], tuple[Counts, str]], position: dict[str, Any]) -> None:
        """Do one transaction; one that runs into somebody's lock is tried again, then left out and reported."""
        for attempt in range(1, self.limits.tries + 1):
            self.check()
            started = time.monotonic()
            self.session.rows("BEGIN ISOLATION LEVEL REPEATABLE READ")
            try:
                self.session.rows(_timeout(self.limits.lock_timeout_ms))
                # Statistics of a table that is being emptied are old: a few rows out of millions go by an index.
                for kind in ("seqscan", "hashjoin", "mergejoin"):
                    self.session.rows(f"SET LOCAL enable_{kind} = off")
                counts, xid = work()
                [now] = self.session.rows(load_sql("retention/pressure"), {"since": "0/0"})
                self.begin(counts, {"xid": xid, **position})
                self.session.rows("COMMIT")
            except BusyError as error:
                self._roll_back()
                if attempt == self.limits.tries:
                    self._leave_out(what, error, position)
                    return
                time.sleep(_PAUSE_SECONDS * attempt)
                continue
            except BaseException:
                self._roll_back()
                raise
            self.end()
            seconds = time.monotonic() - started
            self.progress.counts.seconds += seconds
            self.pacer.blocked(now["waiters"])
            self.pacer.rest(self.session, seconds)
            return

    def _remove_archived(self, binds: dict[str, str]) -> tuple[Counts, str]:
        [done] = self.session.rows(self.statements.remove_archived(), binds)
        [left] = self.session.rows(self.statements.left_of_archived(), binds)
        # Those that were edited are looked at again with their range, and counted as kept there.
        self._demand(done["rows"] == left["rows"] + done["removed"], "archived rows", done | {"left": left["rows"]})
        counts = Counts(rows=done["removed"], archived=done["removed"], edited=left["rows"], batches=1)
        return counts, done["xid"]

    def _remove_range(self, binds: dict[str, Any]) -> tuple[Counts, str]:
        resumed, bound = "after0" in binds, {**binds, "horizon": self.horizon}
        [done] = self.session.rows(self.statements.remove_discarded(resumed=resumed), bound)
        [left] = self.session.rows(self.statements.left_of_range(resumed=resumed), binds)
        counts = Counts(
            rows=done["rows"],
            kept=left["rows"],
            discarded=done["removed"],
            late=done["late"],
            unarchived=done["unarchived"],
            batches=1,
        )
        balanced = counts.balanced and done["due"] == done["removed"]
        self._demand(balanced, "a range of rows", done | {"left": left["rows"]})
        return counts, done["xid"]

    def _demand(self, balanced: bool, what: str, figures: dict[str, Any]) -> None:  # noqa: FBT001  what it is about
        if not balanced:
            raise ProofFailedError(
                f"The balance of {what} of {self.statements.table.title} does not hold: {figures['rows']} before, "
                f"{figures['removed']} removed, {figures['left']} left; the transaction was rolled back and the run "
                "stopped. Look for triggers and rules that act on its rows."
            )

    def _refuse_without_index(self) -> None:
        table = self.statements.table
        if table.index not in {
            row["name"] for row in self.session.rows(load_sql("retention/indexes"), {"oid": table.oid})
        }:
            raise BusyError(
                f"The index {table.index} of {table.title} was dropped meanwhile; the next try goes another way."
            )

    def _leave_out(self, what: str, error: TdevError, position: dict[str, Any]) -> None:
        holders = self.session.rows(load_sql("retention/holders"), {"oid": self.statements.table.oid})
        named = "; ".join(
            f"pid {row['pid']} ({row['application'] or 'unnamed'}, {row['state']}, for {row['seconds']:.0f} s)"
            for row in holders
        )
        self.progress.left.append(f"{what}: {named or error}")
        self.progress.pending = None
        for name, value in position.items():
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


def _timeout(milliseconds: int) -> Composed:
    return SQL("SET LOCAL lock_timeout = {}").format(Literal(milliseconds))

