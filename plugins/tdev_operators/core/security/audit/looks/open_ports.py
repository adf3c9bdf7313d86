"""Ports that the hosts open to other machines, against what somebody accepted."""

from collections.abc import Iterator
from datetime import datetime

from tdev_operators.core.errors import TdevError
from tdev_operators.core.proc_net import address_of
from tdev_operators.core.security.audit.looking import AuditPorts, Looked
from tdev_operators.core.settings import Settings

AGAINST = "accepted"
HINT = "See what listens (`ss -tulpn` on the host) and stop it, or bind it to loopback."

# Linux tells it in files that everybody may read; no program is needed (proc(5)).
_TABLES = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}


def look(ports: AuditPorts, settings: Settings, at: datetime) -> Looked:  # noqa: ARG001  as every look
    """Return a line for each socket that listens on more than loopback, host by host."""
    looked = Looked()
    for host in ports.system.hosts.values():
        try:
            answers = {table: host.run(["cat", f"/proc/net/{table}"]) for table in _TABLES}
        except TdevError as error:
            looked.skipped[host.name] = str(error)
            continue
        # A machine may live without IPv6; any other table that is not told whole is a gap.
        untold = [
            table
            for table, answer in answers.items()
            if answer.truncated
            or (answer.exit_status != 0 and not (table.endswith("6") and "No such file" in answer.stderr))
        ]
        if untold:
            looked.skipped[host.name] = (
                f"it does not tell its sockets in {', '.join(f'/proc/net/{one}' for one in untold)}"
            )
            continue
        looked.seen.append(host.name)
        found = {
            f"{host.name}: {table.rstrip('6')} {place}"
            for table, state in _TABLES.items()
            for place in listening(answers[table].stdout, state)
        }
        looked.facts += sorted(found)
    return looked


def listening(table: str, state: str) -> Iterator[str]:
    """Yield `address:port` of the sockets of a /proc/net table that are in a state, and not on loopback."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 4 or fields[3] != state:  # noqa: PLR2004  as proc(5) has it
            continue
        address, _, port = fields[1].partition(":")
        place = address_of(address)
        if not place.is_loopback:
            yield f"{f'[{place}]' if place.version == 6 else place}:{int(port, 16)}"  # noqa: PLR2004
