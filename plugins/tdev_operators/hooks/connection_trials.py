"""Tries every connection once, by effect, for `tdev init`."""

from collections.abc import Callable, Iterator

from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.hooks.alerts import load_channel
from tdev_operators.hooks.assembly import system_ports
from tdev_operators.hooks.connections import API, AWS, POSTGRES, ConnectionSource
from tdev_operators.hooks.ledger_database import CONNECTION as LEDGER
from tdev_operators.hooks.ledger_schema import ensure_separate


def trials(settings: Settings, connections: ConnectionSource) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield (name, trial): a trial returns what it saw, or raises a TdevError whose sentence says what to mend."""
    system = system_ports(settings, connections)
    yield POSTGRES, lambda: _database(system)
    yield LEDGER, lambda: _ledger(system, connections)
    yield AWS, lambda: _buckets(system, settings)
    yield API, lambda: f"{system.api.name} answers {system.api.get('/health').status}"
    for host in system.hosts.values():
        yield f"of host {host.name}", lambda host=host: f"runs {host.run(['uname', '-sr']).stdout.strip()}"  # type: ignore[misc]
    for name in settings.alerts.channels:
        yield f"of channel {name}", lambda name=name: _channel(name, settings, connections)  # type: ignore[misc]


def _database(system: SystemPorts) -> str:
    system.database.rows("select 1")
    return f"{system.database.name} answers"


def _ledger(system: SystemPorts, connections: ConnectionSource) -> str:
    ensure_separate(connections.get(LEDGER), system.database)
    return "a database of its own"


def _buckets(system: SystemPorts, settings: Settings) -> str:
    buckets = settings.buckets
    for bucket in (buckets.agents, buckets.checkpoints, buckets.backups):
        next(iter(system.objects.list(bucket)), None)
    key = f"{settings.system.name}/spool/trial"
    system.objects.write(buckets.backups, key, b"written by `tdev init`")
    system.objects.delete(buckets.backups, key)
    return f"reads its buckets, writes {buckets.backups}"


def _channel(name: str, settings: Settings, connections: ConnectionSource) -> str:
    load_channel(name, settings, connections)
    return "is set up (nothing was sent)"
