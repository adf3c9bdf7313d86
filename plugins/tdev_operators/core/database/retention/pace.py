"""Gentleness: short statements with a rest after each, pauses for replicas and writers that cannot keep up.

What writers feel of a removal is the log that their commits have to wait for. So it is written in small pieces, evenly:
a transaction is many statements of some milliseconds each, between which the log has time to reach its disk.
"""

import time
from collections.abc import Callable

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.retention.settings import Pace
from tdev_operators.core.errors import AccessDeniedError, BusyError
from tdev_operators.core.reporting.wording import capitalized, counted
from tdev_operators.core.sql import load_sql

_MB = 1_000_000
_UNPACED_TIMES = 10  # so many times larger are transactions and statements of a run that gives way to nobody
_LOOK_SECONDS = 0.5
_SMALLEST = 100
_ROWS_A_SECOND = 500_000  # believed until something was measured
_LONGEST_REST_SECONDS = 10.0
_LONGEST_BREATH_SECONDS = 1.0  # rows that went are locked meanwhile


class Stride:
    """How many rows one statement may take so that it is over in about so many `seconds`: learned from the last one."""

    def __init__(self, seconds: float) -> None:
        self.rows, self._seconds = round(seconds * _ROWS_A_SECOND), seconds

    def took(self, rows: int, seconds: float) -> None:
        """Say how long that many rows took. What was short with few rows says little of how long more of them take."""
        if rows > self.rows // 2 or seconds > self._seconds:
            fitting = rows * self._seconds / max(seconds, 1e-6)
            # Way to the server and back included: more statements would be slower, and no gentler.
            self.rows = round(max(_SMALLEST, 0.5 * self.rows, min(2.0 * self.rows, fitting)))


class Pacer:
    """Says how large the next transaction is, and waits between statements. `unpaced` gives way to nobody."""

    def __init__(
        self, rules: Pace, *, unpaced: bool = False, sleep: Callable[[float], None] = time.sleep, wal: str = "0/0"
    ) -> None:
        """`wal` is where the server's log stands now."""
        self._rules, self._unpaced, self._sleep = rules, unpaced, sleep
        times = _UNPACED_TIMES if unpaced else 1
        self._largest = rules.batch_rows * times
        self._statement_seconds = rules.statement_ms / 1000 * times
        self.size = self._largest
        self.wal_bytes = 0
        self.waited_seconds = 0.0
        self.reasons: dict[str, int] = {}
        self._start, self._begun = wal, time.monotonic()

    def refuse_blind(self, session: Session) -> None:
        """See that replicas can be given way to at all, before the first row goes.

        Raises:
            AccessDeniedError: our role may not see how far they are.
        """
        [now] = session.rows(load_sql("retention/pressure"), {"since": self._start})
        if now["unseen"] and not self._unpaced:
            raise AccessDeniedError(
                f"How far {counted(now['unseen'], 'replica')} may be behind cannot be seen by our role, so that nobody "
                "would be waited for; GRANT pg_monitor to the user of tdev_dba."
            )

    def stride(self) -> Stride:
        """Return how many rows a statement may take, for one kind of statement."""
        return Stride(self._statement_seconds)

    def breathe(self, seconds: float) -> None:
        """Wait as the rules say after a statement that took `seconds`."""
        if not self._unpaced:
            self._wait(min(seconds * self._rules.rest_percent / 100, _LONGEST_BREATH_SECONDS))

    def blocked(self, waiters: int) -> None:
        """Say how many sessions the transaction that is about to end has blocked: the next one is smaller then."""
        if waiters > self._rules.lock_waiters:
            self.size = max(_SMALLEST, self.size // 2)
            self._note("lock waits")
        else:
            self.size = min(self._largest, self.size * 2)

    def rest(self, session: Session, seconds: float) -> None:
        """Wait after a transaction, the last statements of which took `seconds`; for replicas and for the log, too.

        Raises:
            BusyError: a replica has been too far behind for `pause_seconds`.
        """
        if self._unpaced:
            return
        self.breathe(seconds)
        deadline = time.monotonic() + self._rules.pause_seconds
        while True:
            [now] = session.rows(load_sql("retention/pressure"), {"since": self._start})
            self.wal_bytes = now["wal_bytes"]
            if now["lag_bytes"] <= self._rules.replica_lag_mb * _MB:
                break
            if time.monotonic() > deadline:
                raise BusyError(
                    f"{capitalized(now['reader'])} is {now['lag_bytes'] / _MB:,.0f} MB behind and does not catch up; "
                    "what was done so far stays done, and the rest waits for it."
                )
            self._note("replica lag")
            self._wait(_LOOK_SECONDS)
        # The rate over the whole run: an allowance that was not used may be used later.
        due = self.wal_bytes / (self._rules.wal_mb_per_second * _MB) - (time.monotonic() - self._begun)
        if due > 0:
            self._note("WAL rate")
            self._wait(min(due, _LONGEST_REST_SECONDS))  # what is left is waited for after the next one

    def _note(self, reason: str) -> None:
        self.reasons[reason] = self.reasons.get(reason, 0) + 1

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self.waited_seconds += seconds
            self._sleep(seconds)
