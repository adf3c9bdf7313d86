"""Builds what a recovery of the evolution, and a relief of memory, work with from settings and connections."""

from collections.abc import Iterator
from contextlib import contextmanager

from tdev_operators.core.evolution.recovery.ports import EvolutionPorts
from tdev_operators.core.settings import Settings
from tdev_operators.hooks.assembly import system_ports
from tdev_operators.hooks.backup_store import S3BackupStore
from tdev_operators.hooks.connections import API, DBA, ConnectionSource
from tdev_operators.hooks.http_api import HttpApi
from tdev_operators.hooks.postgres_sessions import PostgresSource


@contextmanager
def evolution_ports(settings: Settings, connections: ConnectionSource) -> Iterator[EvolutionPorts]:
    """Yield the ports. Nothing is opened until a port is used.

    Raises:
        SetupMissingError: a connection is missing.
    """
    with S3BackupStore.of(settings.backup, connections) as store:
        yield EvolutionPorts(
            system=system_ports(settings, connections),
            database=PostgresSource(connections.get(DBA)),
            api=HttpApi(connections.get(API)),
            store=store,
        )
