"""What is done under a lease stops when the lease is lost. Light: DAG files import it while they are parsed."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tdev_operators.core.errors import BusyError

if TYPE_CHECKING:
    from tdev_operators.core.ledger import Lease


def refusal_when_lost(lease: "Lease", what: str) -> Callable[[], None]:
    """Return a function that raises a BusyError once the lease is lost."""

    def check() -> None:
        if lease.lost:
            raise BusyError(f"The lease of {what} was lost while it ran, so that another run may have done it too.")

    return check
