"""Builds what the care of the database works with from settings and connections."""

from collections.abc import Iterator
from contextlib import contextmanager

from tdev_operators.core.database.ports import CarePorts
from tdev_operators.core.settings import Settings
from tdev_operators.hooks.assembly import system_ports
from tdev_operators.hooks.backup_store import S3BackupStore
from tdev_operators.hooks.connections import DBA, ConnectionSource
from tdev_operators.hooks.postgres_sessions import PostgresSource


@contextmanager
def care_ports(settings: Settings, connections: ConnectionSource) -> Iterator[CarePorts]:
    """Yield the ports of the database's care. Nothing is opened until a port is used.

    Raises:
        SetupMissingError: a connection is missing.
    """
    with S3BackupStore.of(settings.backup, connections) as store:
        yield CarePorts(
            system=system_ports(settings, connections),
            database=PostgresSource(connections.get(DBA)),
            server=lambda name: PostgresSource(connections.get(name)),
            store=store,
        )
