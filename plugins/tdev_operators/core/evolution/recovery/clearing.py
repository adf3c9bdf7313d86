"""Clearing what dead engines left, once the engine is stopped: lock files, sessions that hold locks, lease rows.

A failure is told and holds nothing up: the engine stands still meanwhile.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from tdev_operators.core.errors import PermanentError, ProofFailedError
from tdev_operators.core.evolution.recovery.leases import Note, clear_leases, clear_lock_files
from tdev_operators.core.evolution.recovery.locks import Cleared, Place, addresses_of, clear_orphans, engine_sessions
from tdev_operators.core.evolution.recovery.ports import EvolutionPorts
from tdev_operators.core.evolution.recovery.settings import LeaseTable
from tdev_operators.core.ports import Host
from tdev_operators.core.recovery.services import is_alive
from tdev_operators.core.settings import Settings

_APPLICATION = "tdev-evolution-recovery"


def clear(
    ports: EvolutionPorts, settings: Settings, hosts: Sequence[Host], stopped_at: Mapping[str, str], note: Note
) -> Cleared:
    """Clear it and return what was done and what stays, each with its reason. `note` writes before each act.

    `stopped_at` is when the engine was proven stopped on each host, by the database's clock.

    Raises:
        TransientError: a host or the database is away; a retry goes on.
    """
    rules = settings.evolution.recovery
    found = [clear_lock_files(rules, hosts, note)]
    if rules.clear_sessions:
        found.append(_tried(lambda: _sessions(ports, settings, hosts, stopped_at, note), "sessions of the engine"))
    if (table := rules.lease) is not None:
        found.append(_tried(lambda: _leases(ports, table, hosts, note), f"leases of {table.table}"))
    return Cleared(
        tuple(line for one in found for line in one.ended), tuple(line for one in found for line in one.kept)
    )


def _tried(work: Callable[[], Cleared], what: str) -> Cleared:
    try:
        return work()
    except PermanentError as error:
        return Cleared(kept=(f"{what} could not be looked at: {error}",))


def _sessions(
    ports: EvolutionPorts, settings: Settings, hosts: Sequence[Host], stopped_at: Mapping[str, str], note: Note
) -> Cleared:
    rules, places = settings.evolution.recovery, []
    for host in hosts:
        if is_alive(host, settings, rules.service):
            raise ProofFailedError(f"{rules.service} on {host.name} runs again; nobody's session is an orphan.")
        addresses = addresses_of(host, has_database=host.name == settings.recovery.database_host)
        places.append(Place(host, addresses, datetime.fromisoformat(stopped_at[host.name])))
    with ports.database.session(application_name=_APPLICATION) as session:
        found = engine_sessions(session, rules)
        if not found:
            return Cleared()
        note("evolution_sessions", {"sessions": [one.named for one in found]})
        return clear_orphans(session, rules, places)


def _leases(ports: EvolutionPorts, table: LeaseTable, hosts: Sequence[Host], note: Note) -> Cleared:
    with ports.database.session(application_name=_APPLICATION) as session:
        return clear_leases(session, table, hosts, note)
