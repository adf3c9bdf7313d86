"""Remembering that a target is down, so that many callers pay for one time limit and not each for his own."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from tdev_operators.core.errors import AccessDeniedError, TargetTimeoutError, TargetUnreachableError, TdevError

# Longer than fifteen checks need to meet their common dead target, shorter than a person's patience after mending it.
# Who wants to see the target as it is now says `forget_outage` first.
REMEMBERED_SECONDS = 15.0
# A failure that came at once may be met again at once: the next sample then sees the target as it is.
CHEAP_SECONDS = 0.5


class OutageMemory:
    """What one target answered to the last attempt to reach it."""

    def __init__(self, *, refusals: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        """Remember what cost time; with `refusals` also a refused login, however quickly it came."""
        self._refusals = refusals
        self._clock = clock
        self._lock = Lock()
        self._error: TdevError | None = None
        self._until = 0.0

    def forget_outage(self) -> None:
        """Let the next caller reach for the target again. A refused login stays: it would be refused again."""
        with self._lock:
            if not isinstance(self._error, AccessDeniedError):
                self._error = None

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Reach for the target in this block, or fail at once with the error that is still remembered.

        Only what was costly is remembered: a time limit that was waited out, or a refused login (each further
        try would add to the target's own list of failed logins).
        """
        with self._lock:
            if self._error and self._clock() < self._until:
                raise type(self._error)(*self._error.args)
        started = self._clock()
        try:
            yield
        except (TargetUnreachableError, TargetTimeoutError, AccessDeniedError) as error:
            refused = isinstance(error, AccessDeniedError)
            if self._refusals if refused else self._clock() - started > CHEAP_SECONDS:
                with self._lock:
                    self._error, self._until = error, self._clock() + REMEMBERED_SECONDS
            raise
