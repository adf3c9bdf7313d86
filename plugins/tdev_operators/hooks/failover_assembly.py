"""Builds the ports of a failover from settings and connections: neither Airflow nor the ledger is needed for them."""

from collections.abc import Iterator
from contextlib import contextmanager

from tdev_operators.core.failover.ports import FailoverPorts
from tdev_operators.core.settings import Settings
from tdev_operators.hooks.assembly import system_ports
from tdev_operators.hooks.backup_store import S3BackupStore
from tdev_operators.hooks.connections import ConnectionSource
from tdev_operators.hooks.hosts.local import LocalHost
from tdev_operators.hooks.http_api import HttpApi
from tdev_operators.hooks.name_records import name_records
from tdev_operators.hooks.postgres_sessions import PostgresSource
from tdev_operators.hooks.recovery_assembly import recovery_into


@contextmanager
def failover_ports(settings: Settings, connections: ConnectionSource) -> Iterator[FailoverPorts]:
    """Yield the ports of a failover. Nothing is opened until a port is used.

    Raises:
        SetupMissingError: the connection tdev_aws, or that of the names' webhook, is missing.
    """
    system = system_ports(settings, connections)
    with S3BackupStore.of(settings.backup, connections) as store:
        yield FailoverPorts(
            store=store,
            database=lambda side, name: PostgresSource(connections.get(side.connection), name),
            recovery=lambda side: recovery_into(side.connection, store, settings, connections),
            api=lambda side: HttpApi(connections.get(side.api_connection)),
            hosts=system.hosts,
            here=LocalHost("this worker"),
            resolver=system.resolver,
            names=name_records(settings.failover.dns, connections),
        )
