"""Copying a table while it is written to, and following its changes until both are the same.

Why no change is lost and no row comes back: a trigger notes the key of each changed row, in the transaction that
changes it. One session alone copies and follows, one statement after the other. It sees a note if and only if it sees
the change that the note is about; then it makes the target's row what the source's row is *in the same snapshot*, or
takes it away. A copy from an older snapshot is put right by the note that came with the change. So after each of our
transactions every key is the same on both sides, or is noted, or has not been copied yet; whatever the order of notes,
and whatever isolation the application uses.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from psycopg.sql import Composable

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.conversion.sides import Following
from tdev_operators.core.database.retention.pace import Pacer
from tdev_operators.core.database.retention.settings import PartitionRule
from tdev_operators.core.database.transactions import transaction
from tdev_operators.core.errors import BusyError, ProofFailedError
from tdev_operators.core.sql import load_sql

SMALL = 500  # notes that the switch may find: a matter of milliseconds
_ROUNDS = 200
# Statistics of a table that is being filled are old: a few rows out of millions go by an index.
# And a worker that dies between two statements of a transaction keeps nobody waiting.
_BY_INDEX = """-- how rows are found in a transaction
SELECT set_config(name, 'off', true), set_config('idle_in_transaction_session_timeout', '30s', true)
FROM unnest(ARRAY['enable_seqscan', 'enable_hashjoin', 'enable_mergejoin']) AS t (name)"""


@dataclass(slots=True)
class Followed:
    """What was done so far in this run."""

    copied: int = 0
    notes: int = 0
    batches: int = 0
    pauses: Mapping[str, int] = field(default_factory=dict)


class Follower:
    """Makes a target what its source is. `check` raises when the run is no longer ours."""

    def __init__(
        self,
        session: Session,
        statements: Following,
        pacer: Pacer,
        title: str,
        check: Callable[[], None],
    ) -> None:
        """`title` names the source, for people."""
        self.session, self.statements, self.pacer = session, statements, pacer
        self._title, self._check = title, check
        self.followed = Followed(pauses=pacer.reasons)

    def copy(self, after: list[str] | None, size_of_key: int) -> tuple[list[str] | None, bool]:
        """Copy the range behind a key; return the key at its end, and whether it was the last one.

        It was when it was not full: rows that came after that are noted, and to copy them too would never end.
        """
        self._check()
        started = time.monotonic()
        marks, size = {f"after{at}": text for at, text in enumerate(after or [None] * size_of_key)}, self.pacer.size
        with transaction(self.session):
            found = self.session.rows(self.statements.bound(), {**marks, "size": size})
            if not found or found[0]["upto0"] is None:
                return after, True
            upto = {name: text for name, text in found[0].items() if name != "rows"}
            self.followed.copied += self.session.touched(self.statements.copy(), {**marks, **upto})
            waiters = self._waiters()
        self.followed.batches += 1
        self.pacer.blocked(waiters)
        self.pacer.rest(self.session, time.monotonic() - started)
        return list(upto.values()), found[0]["rows"] < size

    def follow(self) -> None:
        """See to what is noted until next to nothing is left.

        Raises:
            BusyError: the table is written to faster than it can be followed.
            ProofFailedError: what was seen to differs all the same.
        """
        for _ in range(_ROUNDS):
            self._check()
            started, size = time.monotonic(), max(self.pacer.size, SMALL + 1)
            with transaction(self.session, "ISOLATION LEVEL REPEATABLE READ"):
                notes = self.step(size)
                waiters = self._waiters()
            if notes <= SMALL:
                return
            self.pacer.blocked(waiters)
            self.pacer.rest(self.session, time.monotonic() - started)
        raise BusyError(f"{self._title} is written to faster than its changes can be followed; try in a quieter hour.")

    def step(self, size: int = SMALL) -> int:
        """See to the next notes, in the transaction that is open; return how many they were."""
        statements, session = self.statements, self.session
        session.rows(_BY_INDEX)
        [noted] = session.rows(statements.noted(), {"size": size})
        if not noted["notes"]:
            return 0
        upto = {"upto": noted["upto"]}
        if noted["went"]:
            session.rows(statements.empty(), {})
        session.rows(statements.outdated_go(), upto)
        session.rows(statements.absent_come(), upto)
        [off] = session.rows(statements.differing(), upto)
        if off["rows"]:
            raise ProofFailedError(
                f"{off['rows']} rows of {self._title} differ from what was just written beside it; nothing is "
                "exchanged. Look for what acts on its rows."
            )
        session.rows(statements.forget(), upto)
        self.followed.notes += noted["notes"]
        return int(noted["notes"])

    def _waiters(self) -> int:
        [now] = self.session.rows(load_sql("retention/own_transaction"))
        return int(now["waiters"])


@dataclass(frozen=True, slots=True)
class Proven:
    """What a proof compared."""

    rows: int
    spans: int
    digest: int
    seconds: float


def prove(
    session: Session,
    statements: Following,
    rule: PartitionRule,
    title: str,
    remedy: str,
    leaving_out: Sequence[Composable] = (),
) -> Proven:
    """Hold both sides against each other, from one snapshot: how many rows of each value and span, and their digests.

    `leaving_out` are rows that need not be the same, as conditions.

    Raises:
        ProofFailedError: they differ; it names where.
    """
    started = time.monotonic()
    rows = session.rows(statements.comparison(rule.by, rule.step, leaving_out), {})
    off = [row for row in rows if (row["rows"], row["total"]) != (row["other_rows"], row["other_total"])]
    if off:
        first = off[0]
        raise ProofFailedError(
            f"The proof of {title} failed in {len(off)} of {len(rows)} spans: {rule.by} = {first['value']!r} from "
            f"{first['span']} has {first['rows']} rows here and {first['other_rows']} there"
            f"{'' if first['rows'] != first['other_rows'] else ', with other content'}. Nothing is exchanged: changes "
            f"were kept from being noted, or somebody wrote beside the table. {remedy}"
        )
    total = sum(int(row["total"]) for row in rows)
    return Proven(sum(row["rows"] for row in rows), len(rows), total, time.monotonic() - started)
