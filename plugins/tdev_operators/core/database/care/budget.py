"""The time in which work may begin. What does not fit is done first the next time."""

import time
from dataclasses import dataclass, field

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

    @property
    def statement_milliseconds(self) -> str:
        """How long a statement that begins now may take, as `statement_timeout` wants it."""
        return str(round(1000 * max(self.left, _LEAST_SECONDS)))
