"""Builds what the analysis and the rotation of logs work with from settings and connections."""

from collections.abc import Iterator
from datetime import datetime

from tdev_operators.core.errors import TdevError
from tdev_operators.core.logs.ports import LogPorts
from tdev_operators.core.ports import ObjectInfo
from tdev_operators.core.settings import Settings
from tdev_operators.hooks.assembly import hosts_of
from tdev_operators.hooks.connections import AWS, ConnectionSource


def log_ports(settings: Settings, connections: ConnectionSource) -> LogPorts:
    """Return the ports. Nothing is opened until one is used; what has no connection says so then."""
    hosts = hosts_of(settings, connections)
    if not settings.logs.sources:
        return LogPorts(hosts, _NoSources(), _NoSources())
    try:
        facts = connections.get(AWS)
    except TdevError as error:
        return LogPorts(hosts, _NoSources(error), _NoSources(error))
    # Both bring botocore, which logs on hosts do without.
    from tdev_operators.hooks.log_events import CloudWatchEvents  # noqa: PLC0415
    from tdev_operators.hooks.log_objects import StoredLogs  # noqa: PLC0415

    return LogPorts(hosts, StoredLogs(facts), CloudWatchEvents(facts))


class _NoSources:
    """Stands where store and log service would: nothing asks for them, or each asking raises why there are none."""

    def __init__(self, error: TdevError | None = None) -> None:
        self._error = error or TdevError("There is nothing in [[logs.sources]].")

    def list(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:  # noqa: ARG002  the port's signature
        raise type(self._error)(*self._error.args)

    def stream(self, *_: str | datetime) -> Iterator[bytes]:
        raise type(self._error)(*self._error.args)
