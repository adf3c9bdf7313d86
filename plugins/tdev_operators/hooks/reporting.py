"""Builds what reporting needs: the ledger with its spool, the channels, the heartbeat."""

from collections.abc import Callable
from dataclasses import dataclass

from tdev_operators.core.ports import Clock, utc_now
from tdev_operators.core.reporting.messages import Channel
from tdev_operators.core.settings import Settings, load_settings
from tdev_operators.hooks.alerts import load_channels, load_report_readers
from tdev_operators.hooks.assembly import system_ports
from tdev_operators.hooks.connections import ConnectionSource
from tdev_operators.hooks.heartbeat import send_heartbeat
from tdev_operators.hooks.ledger import PostgresLedger
from tdev_operators.hooks.ledger_database import CONNECTION
from tdev_operators.hooks.resilient_ledger import ResilientLedger
from tdev_operators.hooks.spool import Spool


@dataclass(frozen=True, slots=True)
class ReportingPorts:
    """Everything through which an item is recorded and people are told."""

    settings: Settings
    ledger: ResilientLedger
    channels: tuple[Channel, ...]
    readers: tuple[Channel, ...]
    heartbeat: Callable[[str], None] = send_heartbeat
    clock: Clock = utc_now


def reporting_ports(connections: ConnectionSource) -> ReportingPorts:
    """Return the ports by the settings in force. Nothing is opened until a port is used.

    Raises:
        SettingsError: the settings file is wrong.
        SetupMissingError: the connection `tdev_ledger` is missing.
    """
    settings = load_settings()
    spool = Spool(system_ports(settings, connections).objects, settings.buckets.backups, settings.system.name)
    ledger = ResilientLedger(PostgresLedger(connections.get(CONNECTION)), spool)
    return ReportingPorts(
        settings, ledger, load_channels(settings, connections), load_report_readers(settings, connections)
    )
