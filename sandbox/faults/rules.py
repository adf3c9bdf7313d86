"""Faults that are armed by rule: when they begin, how often they fire, and whether they ever did."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Subject = TypeVar("Subject")
Action = TypeVar("Action")


class FaultNeverFiredError(AssertionError):
    """A test armed a fault that the traffic never met, so the test proved nothing."""


@dataclass(frozen=True, slots=True)
class When:
    """The moment from which an armed fault fires; all three conditions must hold.

    `nth`: at least so many matching requests (S3) or connections (PostgreSQL) began since it was armed; with 1, what
    is open already counts too.
    `after_bytes`: the matching traffic, both directions together, has reached so many bytes since then.
    `after_seconds`: so much time has passed since then.
    """

    nth: int = 1
    after_bytes: int = 0
    after_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Call:
    """Call a function at this moment, then let pass what came. Long work belongs into a thread."""

    function: Callable[[], object]


@dataclass(eq=False)
class Fault(Generic[Subject, Action]):
    """One action, for what it matches, from a moment on, `times` times (`None`: for ever).

    `fired` is how often it fired; `first_fired_at` is the monotonic time of the first.
    """

    action: Action
    matching: Callable[[Subject], bool] = lambda _: True
    when: When = field(default_factory=When)
    times: int | None = 1
    fired: int = 0
    first_fired_at: float | None = None
    seen: int = 0
    seen_bytes: int = 0
    armed_at: float = field(default_factory=time.monotonic)

    def require_fired(self) -> None:
        """Refuse a proof that proves nothing.

        Raises:
            FaultNeverFiredError: it never fired.
        """
        if not self.fired:
            raise FaultNeverFiredError(f"Never fired: {self.action!r}; choose a moment that the traffic reaches.")

    def due(self) -> bool:
        """Whether the moment has come and it may still fire."""
        return (
            (self.times is None or self.fired < self.times)
            and max(1, self.seen) >= self.when.nth
            and self.seen_bytes >= self.when.after_bytes
            and time.monotonic() - self.armed_at >= self.when.after_seconds
        )


class FaultBoard(Generic[Subject, Action]):
    """The faults of one proxy. Thread-safe."""

    def __init__(self) -> None:
        """Begin with no faults."""
        self._faults: list[Fault[Subject, Action]] = []
        self._changed = threading.Condition()

    def arm(
        self,
        action: Action,
        *,
        matching: Callable[[Subject], bool] = lambda _: True,
        when: When | None = None,
        times: int | None = 1,
    ) -> Fault[Subject, Action]:
        """Let an action happen to what it matches, from a moment on, so many times (`None`: for ever)."""
        fault = Fault(action, matching, when or When(), times)
        with self._changed:
            self._faults.append(fault)
        return fault

    def disarm(self, fault: Fault[Subject, Action]) -> None:
        """Let a fault fire no more; one that is not armed is no error."""
        with self._changed:
            self._faults = [each for each in self._faults if each is not fault]

    def disarm_all(self) -> None:
        """Let nothing fire any more."""
        with self._changed:
            self._faults = []

    @contextmanager
    def armed(
        self,
        action: Action,
        *,
        matching: Callable[[Subject], bool] = lambda _: True,
        when: When | None = None,
        times: int | None = 1,
    ) -> Iterator[Fault[Subject, Action]]:
        """Arm a fault for a block, and require that it fired.

        Raises:
            FaultNeverFiredError: the block ended well and it never fired.
        """
        fault = self.arm(action, matching=matching, when=when, times=times)
        try:
            yield fault
        finally:
            self.disarm(fault)
        fault.require_fired()

    def wait_fired(self, fault: Fault[Subject, Action], seconds: float) -> None:
        """Wait until a fault has fired.

        Raises:
            FaultNeverFiredError: it did not within the time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: fault.fired > 0, seconds):
                raise FaultNeverFiredError(f"Did not fire within {seconds:g} s: {fault.action!r}.")

    def began(self, subject: Subject) -> None:
        """Count one request or connection for the faults that it matches."""
        with self._changed:
            for fault in self._faults:
                if fault.matching(subject):
                    fault.seen += 1

    def carried(self, subject: Subject, size: int) -> None:
        """Count bytes for the faults that they match."""
        if self._faults:
            with self._changed:
                for fault in self._faults:
                    if fault.matching(subject):
                        fault.seen_bytes += size

    def room(self, subject: Subject, size: int) -> int:
        """Return how many of the next `size` bytes pass before a fault that waits for its byte is due."""
        if not self._faults:
            return size
        with self._changed:
            gaps = [
                fault.when.after_bytes - fault.seen_bytes
                for fault in self._faults
                if fault.when.after_bytes and fault.matching(subject)
            ]
        return min([size, *(gap for gap in gaps if gap > 0)])

    def fire(self, subject: Subject) -> Action | None:
        """Return the action of the first due fault that this matches, and note that it fired; None when none is."""
        if not self._faults:
            return None
        with self._changed:
            for fault in self._faults:
                if fault.due() and fault.matching(subject):
                    fault.fired += 1
                    fault.first_fired_at = fault.first_fired_at or time.monotonic()
                    self._changed.notify_all()
                    return fault.action
        return None
