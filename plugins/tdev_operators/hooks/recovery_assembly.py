"""Builds the ports of recovery from settings and connections: neither Airflow nor the ledger is needed for them."""

from collections.abc import Iterator
from contextlib import contextmanager

from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.recovery.ports import RecoveryPorts
from tdev_operators.core.settings import Settings
from tdev_operators.hooks.assembly import system_ports
from tdev_operators.hooks.backup_assembly import set_cipher
from tdev_operators.hooks.backup_store import S3BackupStore
from tdev_operators.hooks.connections import ConnectionSource
from tdev_operators.hooks.postgres_sessions import PostgresSource


@contextmanager
def recovery_ports(settings: Settings, connections: ConnectionSource) -> Iterator[RecoveryPorts]:
    """Yield the ports of recovery. Nothing is opened until a port is used.

    Raises:
        SetupMissingError: the connection tdev_aws is missing.
    """
    with S3BackupStore.of(settings.backup, connections) as store:
        yield recovery_into(settings.recovery.connection, store, settings, connections)


def recovery_into(conn_id: str, store: BackupStore, settings: Settings, connections: ConnectionSource) -> RecoveryPorts:
    """Return the ports of a recovery from this store into the server of a connection."""
    return RecoveryPorts(
        store=store,
        server=lambda name: PostgresSource(connections.get(conn_id), name),
        cipher=set_cipher(settings, connections),
        password_of=lambda conn_id: connections.get(conn_id).password,
        hosts=system_ports(settings, connections).hosts,
    )
