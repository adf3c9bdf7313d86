"""Builds what an audit works with from settings and connections."""

from collections.abc import Iterator
from contextlib import contextmanager

from tdev_operators.core.security.audit.looking import AuditPorts
from tdev_operators.core.settings import Settings
from tdev_operators.hooks.airflow_house import AirflowApi
from tdev_operators.hooks.assembly import system_ports
from tdev_operators.hooks.backup_store import S3BackupStore
from tdev_operators.hooks.bucket_house import S3BucketInspector
from tdev_operators.hooks.connections import AWS, DBA, ConnectionSource
from tdev_operators.hooks.postgres_sessions import PostgresSource


@contextmanager
def audit_ports(settings: Settings, connections: ConnectionSource) -> Iterator[AuditPorts]:
    """Yield the ports of an audit. Nothing is opened until a port is used.

    Raises:
        SetupMissingError: a connection is missing; `tdev_airflow` is looked for only when it is used.
    """
    with S3BackupStore.of(settings.backup, connections) as store:
        yield AuditPorts(
            system=system_ports(settings, connections),
            database=PostgresSource(connections.get(DBA)),
            buckets=S3BucketInspector(connections.get(AWS)),
            airflow=AirflowApi(connections),
            store=store,
        )
