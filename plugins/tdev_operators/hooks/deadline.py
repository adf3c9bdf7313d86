"""A time limit for calls that have none of their own."""

import contextlib
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


class TimeUpError(Exception):
    """The work was not done in time. Adapters turn it into a TargetTimeoutError that names the target."""


def within(
    seconds: float,
    work: Callable[[], T],
    *,
    abandon: Callable[[], object] | None = None,
    discard: Callable[[T], object] | None = None,
) -> T:
    """Run `work` in a thread of its own and return its result, or give up after `seconds`.

    Socket time limits count from the last byte, so a server that drips or a name look-up that hangs has no end;
    this has. The thread cannot be stopped: `abandon` is called to close what it waits on, and `discard` gets a
    result that came too late, so that it can be closed. The thread never keeps the process alive.

    Raises:
        TimeUpError: after `seconds`; and whatever `work` raises before.
    """
    future: Future[T] = Future()

    def body() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread
            future.set_exception(error)

    Thread(target=body, name="tdev-within", daemon=True).start()
    try:
        return future.result(timeout=seconds)
    except TimeoutError:
        if future.done():  # the work's own: a socket's, or it ended this very moment
            return future.result()
    if abandon:
        with contextlib.suppress(Exception):
            abandon()
    if discard:
        future.add_done_callback(lambda late: None if late.exception() else discard(late.result()))
    raise TimeUpError
