"""The alerts that recovery work causes itself are held back while it runs; they stand in the reports all the same."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tdev_operators.hooks.reporting import ReportingPorts

_CAUSED = ("api.*", "database.*", "evolution.*")
_AT_MOST = timedelta(hours=1)  # a worker that dies must not silence them for ever


def begin_quiet(ports: "ReportingPorts", recovery_id: str, reason: str) -> None:
    """Hold back what the work is going to cause, until `end_quiet`, an hour at most."""
    now = ports.clock()
    ports.ledger.silence(recovery_id, _CAUSED, reason, now, now + _AT_MOST)


def end_quiet(ports: "ReportingPorts", recovery_id: str) -> None:
    """Tell again from now on."""
    ports.ledger.end_silences(recovery_id, ports.clock())


@contextmanager
def quiet(ports: "ReportingPorts", recovery_id: str, reason: str) -> Iterator[None]:
    """Hold back while the block runs."""
    begin_quiet(ports, recovery_id, reason)
    try:
        yield
    finally:
        end_quiet(ports, recovery_id)
