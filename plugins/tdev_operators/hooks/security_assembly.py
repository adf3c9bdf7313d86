"""Builds what scans work with from settings and connections."""

from collections.abc import Iterator
from contextlib import contextmanager

from tdev_operators.core.errors import SetupMissingError
from tdev_operators.core.security.run import ScanPorts
from tdev_operators.core.settings import Settings
from tdev_operators.hooks.assembly import hosts_of
from tdev_operators.hooks.backup_store import S3BackupStore
from tdev_operators.hooks.connections import AWS, ConnectionSource
from tdev_operators.hooks.findings_ledger import PostgresFindings
from tdev_operators.hooks.ledger_database import CONNECTION
from tdev_operators.hooks.security_hub import AwsSecurityHub

SCANNERS = "tdev_scanners"  # optional: its extras are handed to scanners as environment, SAFETY_API_KEY and the like


@contextmanager
def scan_ports(settings: Settings, connections: ConnectionSource) -> Iterator[ScanPorts]:
    """Yield the ports of a scan. Nothing is opened until a port is used.

    Raises:
        SetupMissingError: a connection is missing.
    """
    try:
        extra = connections.get(SCANNERS).extra
    except SetupMissingError:
        extra = {}
    with S3BackupStore.of(settings.backup, connections) as store:
        environment = {name: str(value) for name, value in extra.items()}
        ledger, hub = PostgresFindings(connections.get(CONNECTION)), AwsSecurityHub(connections.get(AWS))
        yield ScanPorts(store, ledger, hub, hosts_of(settings, connections), environment)
