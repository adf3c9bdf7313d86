"""Gentleness: how large a transaction may be, and pauses for replicas and writers that cannot keep up."""

import time
from collections.abc import Callable

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.retention.settings import Pace
from tdev_operators.core.errors import AccessDeniedError, BusyError
from tdev_operators.core.reporting.wording import capitalized, counted
from tdev_operators.core.sql import load_sql

_MB = 1_000_000
_UNPACED_TIMES = 10  # so many times larger are stretches and transactions of a run that gives way to nobody
_LOOK_SECONDS = 0.5
_SMALLEST = 100
_SMALLEST_TRANSACTION = 20
_ROWS_A_SECOND = 500_000  # believed until something was measured
_LONGEST_REST_SECONDS = 10.0


class Stride:
    """How many rows a transaction may take so that it is over in about so many `seconds`: learned as it goes."""

    def __init__(self, seconds: float) -> None:
        self.rows, self._seconds = round(seconds * _ROWS_A_SECOND), seconds

    def took(self, rows: int, seconds: float, *, blocked: bool = False) -> None:
        """Say how long that many rows took. What was short with few rows says little of how long more of them take.

        Half as many when somebody was `blocked`.
        """
        if blocked:
            self.rows = max(_SMALLEST_TRANSACTION, self.rows // 2)
        elif rows > self.rows // 2 or seconds > self._seconds:
            fitting = rows * self._seconds / max(seconds, 1e-6)
            self.rows = round(max(_SMALLEST_TRANSACTION, 0.5 * self.rows, min(2.0 * self.rows, fitting)))


class Pacer:
    """Says how many rows go next, and waits when they are gone. `unpaced` gives way to nobody."""

    def __init__(
        self, rules: Pace, *, unpaced: bool = False, sleep: Callable[[float], None] = time.sleep, wal: str = "0/0"
    ) -> None:
        """`wal` is where the server's log stands now."""
        self._rules, self._unpaced, self._sleep = rules, unpaced, sleep
        times = _UNPACED_TIMES if unpaced else 1
        self._largest = rules.batch_rows * times
        self._transaction_seconds = rules.transaction_ms / 1000 * times
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
        """Return how many rows a transaction of a stretch may take, for one kind of removal."""
        return Stride(self._transaction_seconds)

    def blocked(self, waiters: int) -> bool:
        """Say how many sessions a transaction has blocked; whether that is too many: the next one is smaller then."""
        if waiters <= self._rules.lock_waiters:
            self.size = min(self._largest, self.size * 2)
            return False
        self.size = max(_SMALLEST, self.size // 2)
        self._note("lock waits")
        return True

    def rest(self, session: Session, seconds: float) -> None:
        """Wait as the rules say after work that took `seconds`; for replicas and for the log, too.

        Raises:
            BusyError: a replica has been too far behind for `pause_seconds`.
        """
        if self._unpaced:
            return
        self._wait(min(seconds * self._rules.rest_percent / 100, _LONGEST_REST_SECONDS))
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
