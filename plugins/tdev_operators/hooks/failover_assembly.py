"""Builds the ports of a failover from settings and connections: neither Airflow nor the ledger is needed for them."""

from collections.abc import Iterator
from contextlib import contextmanager

from tdev_operators.core.failover.ports import FailoverPorts
from tdev_operators.core.failover.settings import Side
from tdev_operators.core.recovery.ports import RecoveryPorts
from tdev_operators.core.settings import Settings
from tdev_operators.hooks.assembly import system_ports
from tdev_operators.hooks.backup_assembly import set_cipher
from tdev_operators.hooks.backup_store import S3BackupStore
from tdev_operators.hooks.connections import AWS, ConnectionSource
from tdev_operators.hooks.hosts.local import LocalHost
from tdev_operators.hooks.http_api import HttpApi
from tdev_operators.hooks.name_records import name_records
from tdev_operators.hooks.postgres_sessions import PostgresSource


@contextmanager
def failover_ports(settings: Settings, connections: ConnectionSource) -> Iterator[FailoverPorts]:
    """Yield the ports of a failover. Nothing is opened until a port is used.

    Raises:
        SetupMissingError: the connection tdev_aws, or that of the names' webhook, is missing.
    """
    backup, system = settings.backup, system_ports(settings, connections)
    with S3BackupStore(
        connections.get(AWS), server_side_encryption=backup.server_side_encryption, kms_key_id=backup.kms_key_id
    ) as store:

        def database(side: Side, name: str) -> PostgresSource:
            return PostgresSource(connections.get(side.connection), name)

        def recovery(side: Side) -> RecoveryPorts:
            return RecoveryPorts(
                store=store,
                server=lambda name: database(side, name),
                cipher=set_cipher(settings, connections),
                password_of=lambda conn_id: connections.get(conn_id).password,
                hosts=system.hosts,
            )

        yield FailoverPorts(
            store=store,
            database=database,
            recovery=recovery,
            api=lambda side: HttpApi(connections.get(side.api_connection)),
            hosts=system.hosts,
            here=LocalHost("this worker"),
            resolver=system.resolver,
            names=name_records(settings.failover.dns, connections),
        )
