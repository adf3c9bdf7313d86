"""Which of the engine's sessions are orphans, and their end. Everybody else's stay, however old their locks look.

PostgreSQL keeps a lock as long as its session lives, and a session may outlive its client: a machine that lost power, a
process that was killed while the server still worked for it. A session is ended only when all of this is so:

    it is the engine's             its role and application_name are those of the settings, in this database
    the engine is stopped          its service was stopped on every host, and proven so, after the session had begun
    it came from such a host       its client address is one of the host's own
    nobody is at the other end     that host has no open socket with the session's client port; over the loopback the
                                   session's own end, where its process lives, is not open any more
    it did nothing meanwhile       it is the very same session, in the very same state, when it is told to end
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Any

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.errors import GarbledAnswerError, TdevError
from tdev_operators.core.evolution.recovery.settings import EvolutionRecoverySettings
from tdev_operators.core.health.on_hosts import output_of
from tdev_operators.core.ports import Host
from tdev_operators.core.proc_net import address_of
from tdev_operators.core.sql import load_sql

_NO_PORT = -1  # of a session over a Unix socket
_ESTABLISHED = "01"
_ENDS_WITHIN_MS = 10_000
_TABLES = ("tcp", "tcp6")
# The header is asked for as well: a look that shows not even that has seen nothing.
_HEADER = "local_address"
_SOCKET = re.compile(
    r"^ *\d+: [0-9A-F]+:[0-9A-F]{4} (?P<peer>[0-9A-F]+):[0-9A-F]{4} (?P<state>[0-9A-F]{2}) ", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class EngineSession:
    """A session of the engine, as the server tells it; `locks` is how many locks it holds or waits for."""

    pid: int
    backend_start: datetime
    state_change: datetime | None
    state: str
    client_address: str
    client_port: int
    server_port: int
    locks: int
    now: datetime

    @property
    def named(self) -> str:
        """It in a sentence."""
        where = self.client_address or "a Unix socket"
        return f"pid {self.pid} from {where} ({self.state or 'state unknown'}, {self.locks} locks)"


@dataclass(frozen=True, slots=True)
class Place:
    """A host on which the engine was stopped, with its own addresses; `stopped_at` is by the database's clock."""

    host: Host
    addresses: frozenset[str]
    stopped_at: datetime


@dataclass(frozen=True, slots=True)
class Cleared:
    """What came of it, as sentences: sessions that were ended, and those that stay with the reason."""

    ended: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


def engine_sessions(session: Session, rules: EvolutionRecoverySettings) -> list[EngineSession]:
    """Return the engine's sessions in this database; raises what `Session.rows` raises."""
    return [EngineSession(**row) for row in session.rows(load_sql("evolution_recovery/engine_sessions"), _who(rules))]


def addresses_of(host: Host, *, has_database: bool) -> frozenset[str]:
    """Return a host's own addresses. The loopback's count only where the database itself runs.

    Raises what `Host.run` raises; InputError.
    """
    own = set(output_of(host, "hostname", "-I").split())
    return frozenset(own | {"127.0.0.1", "::1"} if has_database else own)


def why_kept(one: EngineSession, places: Sequence[Place]) -> str:
    """Say why a session is no orphan that may be ended; empty when everything but its socket speaks for it."""
    if not one.locks:
        return "it holds no lock that could be in the way"
    if one.client_port == _NO_PORT or not one.client_address:
        return "it came over a Unix socket, whose other end nobody can see"
    place = place_of(one, places)
    if place is None:
        return f"it came from {one.client_address}, which is none of the hosts on which the engine was stopped"
    if one.backend_start >= place.stopped_at:
        return "it began after the engine was stopped"
    return ""


def place_of(one: EngineSession, places: Sequence[Place]) -> Place | None:
    """Return the host from which a session came."""
    return next((place for place in places if one.client_address in place.addresses), None)


def is_connected(host: Host, one: EngineSession) -> bool:
    """Return whether a session's client still has its connection open, by the sockets of the host that it came from.

    A port alone may be another connection's: the kernel gives it out again for another destination. Over the loopback
    the session's own process is on this host, and the network that it lives in shows its end: that is ESTABLISHED as
    long as the client has not closed. Elsewhere another program's connection from the same port keeps the session.

    Raises:
        GarbledAnswerError: the kernel's table was not seen, or not whole, or the session's process is not to be seen on
            this host (a container's); and what `Host.run` raises.
    """
    client = ip_address(one.client_address)
    if not client.is_loopback:
        found = _sockets(host, "/proc", f"[0-9A-F]+:{one.client_port:04X} [0-9A-F]+:[0-9A-F]+")
        return any(end["state"] == _ESTABLISHED for end in found)
    title = host.run(["cat", f"/proc/{one.pid}/cmdline"], timeout_seconds=10.0).stdout
    if not title.startswith("postgres: ") or f"({one.client_port})" not in title:
        raise GarbledAnswerError(
            f"{host.name} does not show its process {one.pid}; see whether it lives in a container."
        )
    found = _sockets(host, f"/proc/{one.pid}", f"[0-9A-F]+:{one.server_port:04X} [0-9A-F]+:{one.client_port:04X}")
    return any(end["state"] == _ESTABLISHED and address_of(end["peer"]) == client for end in found)


def _sockets(host: Host, process: str, wanted: str) -> Iterator[re.Match[str]]:
    for name in _TABLES:
        table = f"{process}/net/{name}"
        ended = host.run(["grep", "-E", f"{_HEADER}|: {wanted} ", table], timeout_seconds=10.0)
        if name != _TABLES[0] and "No such file" in ended.stderr:
            continue  # a host without IPv6
        if _HEADER not in ended.stdout or ended.truncated:
            raise GarbledAnswerError(f"{table} of {host.name} could not be read whole; see how we reach the host.")
        yield from _SOCKET.finditer(ended.stdout)


def clear_orphans(session: Session, rules: EvolutionRecoverySettings, places: Sequence[Place]) -> Cleared:
    """End the orphans among the engine's sessions, one by one, each looked at again right before.

    Raises what `Session.rows` raises.
    """
    ended, kept = [], []
    for one in engine_sessions(session, rules):
        why = why_kept(one, places)
        place = place_of(one, places)
        if not why and place is not None:
            why = _why_alive(one, place)
        if not why:
            why = _end(session, rules, one)
        if why:
            kept.append(f"{one.named} stays: {why}")
        else:
            ended.append(f"{one.named} was ended: its client is gone")
    return Cleared(tuple(ended), tuple(kept))


def _why_alive(one: EngineSession, place: Place) -> str:
    try:
        alive = is_connected(place.host, one)
    except TdevError as error:
        return f"nobody can see whether its client lives ({str(error).rstrip('.')})"
    if alive:
        return f"{place.host.name} still has its connection open: a process that outlived the service holds it"
    return ""


def _end(session: Session, rules: EvolutionRecoverySettings, one: EngineSession) -> str:
    params = {
        **_who(rules),
        "pid": one.pid,
        "backend_start": one.backend_start,
        "state_change": one.state_change,
        "timeout_ms": _ENDS_WITHIN_MS,
    }
    try:
        rows = session.rows(load_sql("evolution_recovery/end_session"), params)
    except TdevError as error:
        if error.retryable:
            raise
        return f"it could not be ended ({str(error).rstrip('.')})"
    if not rows:
        return "it became active, or ended, while it was looked at"
    return "" if rows[0]["ended"] else "it was told to end and did not within 10 s"


def _who(rules: EvolutionRecoverySettings) -> Mapping[str, Any]:
    return {"role": rules.role, "application": rules.application}
