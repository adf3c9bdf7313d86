"""What surrounds a recording: what is printed is caught, what does not end is ended, which lines ran is noted."""

import contextlib
import gc
import inspect
import io
import logging
import signal
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

FILE = "<agent>"

# Of processor time, and of the clock, for one that waits for what never comes. Then a call counts as endless, and that
# function is not called again.
_CALL_SECONDS, _WAIT_SECONDS = 0.4, 1.0
_FUNCTION_FLAGS = inspect.CO_OPTIMIZED | inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


class EndlessError(BaseException):
    """A call did not come to an end."""


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Raise an EndlessError inside the block when it takes too long; again, for what cleans up may hang as well."""
    _set_timers(_CALL_SECONDS, _WAIT_SECONDS)
    try:
        yield
    finally:
        _set_timers(0, 0)


@contextlib.contextmanager
def quiet(printed: io.StringIO) -> Iterator[None]:
    """Let what is printed, logged and warned of be part of what is recorded."""

    def over(*_: object) -> None:
        raise EndlessError

    signal.signal(signal.SIGVTALRM, over)
    signal.signal(signal.SIGALRM, over)
    gc.disable()  # what is said when something is collected would be said at another call each time
    logging.raiseExceptions = False
    # The filters stay those of any interpreter: what warns once a line may warn less where lines are joined. Which line
    # it was is not told, for that may change.
    warnings.formatwarning = _unplaced
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        yield


@contextlib.contextmanager
def covering(ran: set[int], *, wanted: bool) -> Iterator[Callable[[], None]]:
    """Note the lines of the agent that run inside the block.

    What is yielded begins to watch again: an EndlessError that meets the watcher at work ends it.
    """
    if not wanted:
        yield lambda: None
        return

    def local(frame: types.FrameType, event: str, _: object) -> Any:
        if event == "line":
            ran.add(frame.f_lineno)
        return local

    def opened(frame: types.FrameType, _event: str, _: object) -> Any:
        return local if frame.f_code.co_filename == FILE else None

    sys.settrace(opened)
    try:
        yield lambda: sys.settrace(opened)
    finally:
        sys.settrace(None)


def lines_of_functions(code: types.CodeType, *, inside: bool = False) -> Iterator[int]:
    """Yield the lines of all functions in a module's code, their heads left out: those run when it is loaded."""
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from lines_of_functions(constant, inside=bool(constant.co_flags & _FUNCTION_FLAGS))
    if inside:
        first = code.co_firstlineno
        yield from (line for _, _, line in code.co_lines() if line is not None and line != first)


def _unplaced(message: Warning | str, category: type[Warning], *_: object, **__: object) -> str:
    return f"{category.__name__}: {message}\n"


def _set_timers(processor: float, clock: float) -> None:
    signal.setitimer(signal.ITIMER_VIRTUAL, processor, processor)
    signal.setitimer(signal.ITIMER_REAL, clock, clock)
