"""Transactions that are rolled back whatever cuts them off, and work that is tried again when somebody holds a lock."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.errors import BusyError, TdevError

_PAUSE_SECONDS = 0.2  # between two tries, growing
_T = TypeVar("_T")


@contextmanager
def transaction(session: Session, mode: str = "") -> Iterator[None]:
    """Commit what the block did; roll it back when it raises. `mode` is what stands behind BEGIN."""
    session.rows(f"BEGIN {mode}".rstrip())
    try:
        yield
        session.rows("COMMIT")
    except BaseException:
        with suppress(TdevError):  # the connection may be gone, and the transaction with it
            session.rows("ROLLBACK")
        raise


def again_when_busy(tries: int, work: Callable[[], _T]) -> _T:
    """Do what may run into somebody's lock; after as many tries its BusyError is raised."""
    for attempt in range(1, tries):
        try:
            return work()
        except BusyError:
            time.sleep(_PAUSE_SECONDS * attempt)
    return work()
