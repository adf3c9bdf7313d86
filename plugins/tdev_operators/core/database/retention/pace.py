"""Gentleness: small transactions, a rest after each, pauses for replicas and writers that cannot keep up."""

import time
from collections.abc import Callable

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.retention.settings import Pace
from tdev_operators.core.errors import AccessDeniedError, BusyError
from tdev_operators.core.reporting.wording import capitalized, counted
from tdev_operators.core.sql import load_sql

_MB = 1_000_000
_UNPACED_TIMES = 10  # so many times larger are the transactions of a run that gives way to nobody
_LOOK_SECONDS = 0.5
_SMALLEST = 100
_LONGEST_REST_SECONDS = 10.0


class Pacer:
    """Says how large the next transaction is, and waits between two. `unpaced` gives way to nobody."""

    def __init__(
        self, rules: Pace, *, unpaced: bool = False, sleep: Callable[[float], None] = time.sleep, wal: str = "0/0"
    ) -> None:
        """`wal` is where the server's log stands now."""
        self._rules, self._unpaced, self._sleep = rules, unpaced, sleep
        self._largest = rules.batch_rows * (_UNPACED_TIMES if unpaced else 1)
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

    def blocked(self, waiters: int) -> None:
        """Say how many sessions the transaction that is about to end has blocked: the next one is smaller then."""
        if waiters > self._rules.lock_waiters:
            self.size = max(_SMALLEST, self.size // 2)
            self._note("lock waits")
        else:
            self.size = min(self._largest, self.size * 2)

    def rest(self, session: Session, seconds: float) -> None:
        """Wait as the rules say after a transaction that took `seconds`.

        Raises:
            BusyError: a replica has been too far behind for `pause_seconds`.
        """
        if self._unpaced:
            return
        self._wait(seconds * self._rules.rest_percent / 100)
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
