"""Builds what tuning works with from settings and connections."""

from collections.abc import Iterator
from contextlib import contextmanager

from tdev_operators.core.database.tuning.ports import TuningPorts
from tdev_operators.core.settings import Settings
from tdev_operators.hooks.connections import API, ConnectionSource
from tdev_operators.hooks.database_assembly import care_ports
from tdev_operators.hooks.http_api import HttpApi


@contextmanager
def tuning_ports(settings: Settings, connections: ConnectionSource) -> Iterator[TuningPorts]:
    """Yield the ports of tuning. Nothing is opened until a port is used.

    Raises:
        SetupMissingError: a connection is missing.
    """
    with care_ports(settings, connections) as care:
        yield TuningPorts(
            care=care,
            application=HttpApi(connections.get(API)),
            host=care.system.hosts.get(settings.recovery.database_host),
        )
