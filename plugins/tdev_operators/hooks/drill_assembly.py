"""Builds the clean room's ports: from the bucket's credentials and the key, and from nothing of the live system."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tdev_operators.core.drill.ports import DrillPorts
from tdev_operators.core.settings import Settings
from tdev_operators.hooks.backup_assembly import own_servers, set_cipher
from tdev_operators.hooks.backup_store import S3BackupStore
from tdev_operators.hooks.connections import ConnectionFacts, ConnectionSource
from tdev_operators.hooks.http_api import HttpApi

_LOOPBACK = "127.0.0.1"


@contextmanager
def drill_ports(settings: Settings, connections: ConnectionSource) -> Iterator[DrillPorts]:
    """Yield the ports of a drill. Of the connections it takes `tdev_aws` and, for sealed sets, `tdev_age`.

    The server is one of our own, whatever `backup.scratch` says: a lent one is no clean room.

    Raises:
        SetupMissingError: the connection tdev_aws is missing.
    """
    with S3BackupStore.of(settings.backup, connections) as store:
        yield DrillPorts(
            store=store,
            cipher=set_cipher(settings, connections),
            scratch=own_servers(settings),
            api=_api,
            free_port=_free_port,
        )


def _api(port: int, token: str) -> HttpApi:
    return HttpApi(ConnectionFacts("drill application", "http", host=_LOOPBACK, port=port, password=token))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port
