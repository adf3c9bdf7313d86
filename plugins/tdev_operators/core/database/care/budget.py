"""The time in which work may begin. What does not fit is done first the next time."""

import time
from dataclasses import dataclass, field

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.parameters import put

# A statement that begins in the last second still gets so long.
_LEAST_SECONDS = 60.0


@dataclass(slots=True)
class Budget:
    """So many seconds from the moment on at which it is made, by this machine's steady clock."""

    seconds: float
    _began: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds that are left, 0 when it is used up."""
        return max(0.0, self._began + self.seconds - time.monotonic())

    def bound(self, session: Session, lock_seconds: float) -> None:
        """Let the session's next statement take no longer than what is left, and wait so long for each lock."""
        milliseconds = {"statement_timeout": max(self.left, _LEAST_SECONDS), "lock_timeout": lock_seconds}
        put(session, {name: str(round(1000 * seconds)) for name, seconds in milliseconds.items()})
