"""What a pass may use in a worker: libraries that were made for honest sources can be kept busy by hostile ones."""

import contextlib
import resource
import signal
import threading
from collections.abc import Iterator

from tdev_operators.core.errors import ProofFailedError

_MEMORY_BYTES = 3 * 1024**3
_AGAIN_SECONDS = 0.5  # should a library have caught it


class _OverError(BaseException):
    """A pass takes too long; no library shall take it for an error of its own."""


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Let the block use that much processor time; only a process's main thread can be cut off.

    Raises:
        ProofFailedError: it would use more, or more memory than there is for it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def over(*_: object) -> None:
        raise _OverError

    former = signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, _AGAIN_SECONDS)
    try:
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    except _OverError:
        raise ProofFailedError(f"the pass takes more than {seconds:g} s of processor time") from None
    except (MemoryError, RecursionError):
        raise ProofFailedError("the pass takes more memory than there is for it") from None
    finally:
        signal.signal(signal.SIGVTALRM, former)


def limit_memory() -> None:
    """Let this process have no more than a worker needs. What it starts may set a limit of its own."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = _MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(_MEMORY_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
