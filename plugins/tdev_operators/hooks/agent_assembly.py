"""Builds what the care of the agents works with from settings and connections."""

from collections.abc import Iterator
from contextlib import contextmanager

from tdev_operators.core.agents.ports import AgentPorts
from tdev_operators.core.settings import Settings
from tdev_operators.hooks.agent_bucket import S3SourceBucket
from tdev_operators.hooks.assembly import system_ports
from tdev_operators.hooks.backup_store import S3BackupStore
from tdev_operators.hooks.connections import API, AWS, DBA, ConnectionSource
from tdev_operators.hooks.http_api import HttpApi
from tdev_operators.hooks.postgres_sessions import PostgresSource


@contextmanager
def agent_ports(settings: Settings, connections: ConnectionSource) -> Iterator[AgentPorts]:
    """Yield the ports of the agents' care. Nothing is opened until a port is used.

    Raises:
        SetupMissingError: a connection is missing.
    """
    with S3BackupStore.of(settings.backup, connections) as store:
        yield AgentPorts(
            system=system_ports(settings, connections),
            database=PostgresSource(connections.get(DBA)),
            store=store,
            sources=S3SourceBucket(connections.get(AWS)),
            api=HttpApi(connections.get(API)),
        )
