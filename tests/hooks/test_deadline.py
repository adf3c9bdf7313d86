"""`within` and the memory of outages."""

import threading
import time

import pytest

from tdev_operators.core.errors import AccessDeniedError, InputError, TargetTimeoutError, TargetUnreachableError
from tdev_operators.hooks.deadline import TimeUpError, within
from tdev_operators.hooks.outages import REMEMBERED_SECONDS, OutageMemory


def test_the_result_and_the_errors_of_the_work_come_back() -> None:
    assert within(10, lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        within(10, lambda: 1 // 0)


def test_a_time_limit_of_the_work_itself_is_not_ours() -> None:
    def work() -> None:
        raise TimeoutError("a socket's")

    with pytest.raises(TimeoutError, match="a socket's"):
        within(10, work)


def test_work_that_hangs_is_abandoned_and_a_late_result_discarded() -> None:
    release, discarded = threading.Event(), threading.Event()
    late: list[str] = []

    def discard(result: str) -> None:
        late.append(result)
        discarded.set()

    def work() -> str:
        release.wait(20)
        return "late"

    started = time.monotonic()
    with pytest.raises(TimeUpError):
        within(0.1, work, abandon=release.set, discard=discard)
    assert time.monotonic() - started < 5
    assert discarded.wait(5)
    assert late == ["late"]


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def _fail(memory: OutageMemory, error: Exception, clock: _Clock | None = None, seconds: float = 0) -> None:
    with memory.attempt():
        if clock:
            clock.now += seconds
        raise error


def test_a_costly_outage_is_remembered_for_a_short_time() -> None:
    clock = _Clock()
    memory = OutageMemory(clock=clock)
    with pytest.raises(TargetTimeoutError):
        _fail(memory, TargetTimeoutError("It did not answer."), clock, 5)
    with pytest.raises(TargetTimeoutError, match="It did not answer"), memory.attempt():
        pytest.fail("nobody should have been asked")
    clock.now += REMEMBERED_SECONDS
    with memory.attempt():
        pass


def test_an_outage_is_forgotten_on_demand_and_a_refusal_is_not() -> None:
    clock = _Clock()
    memory = OutageMemory(refusals=True, clock=clock)
    with pytest.raises(TargetTimeoutError):
        _fail(memory, TargetTimeoutError("It did not answer."), clock, 5)
    memory.forget_outage()
    with pytest.raises(AccessDeniedError):
        _fail(memory, AccessDeniedError("No."))
    memory.forget_outage()
    with pytest.raises(AccessDeniedError), memory.attempt():
        pytest.fail("nobody should have been asked")


def test_what_failed_at_once_is_asked_again() -> None:
    memory = OutageMemory(clock=_Clock())
    with pytest.raises(TargetUnreachableError):
        _fail(memory, TargetUnreachableError("Refused."))
    with memory.attempt():
        pass


@pytest.mark.parametrize("refusals", [True, False])
def test_a_refused_login_is_remembered_where_it_counts(*, refusals: bool) -> None:
    memory = OutageMemory(refusals=refusals, clock=_Clock())
    with pytest.raises(AccessDeniedError):
        _fail(memory, AccessDeniedError("No."))
    asked = False
    try:
        with memory.attempt():
            asked = True
    except AccessDeniedError:
        pass
    assert asked is not refusals


def test_wrong_input_says_nothing_about_the_target() -> None:
    clock = _Clock()
    memory = OutageMemory(refusals=True, clock=clock)
    with pytest.raises(InputError):
        _fail(memory, InputError("Not that way."), clock, 5)
    with memory.attempt():
        pass
