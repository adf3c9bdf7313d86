"""Security updates that wait on the hosts, by what apt knows, and how old that is."""

import re
from datetime import datetime

from tdev_operators.core.errors import TdevError
from tdev_operators.core.ports import Host
from tdev_operators.core.reporting.wording import counted
from tdev_operators.core.security.audit.looking import AuditPorts, Looked
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import Measurement

AGAINST = ""
HINT = "Install them in the maintenance window: `apt-get dist-upgrade` on the host; a new kernel wants a restart."

# "Inst openssl [3.0.11-1] (3.0.15-1 Debian-Security:12/stable-security [amd64])", from `apt-get -s dist-upgrade`.
# (`upgrade` keeps back what needs a new package, as every new kernel does.)
_WAITING = re.compile(r"^Inst (\S+) (?:\[(\S+)\] )?\((\S+) (.*)\)", re.MULTILINE)
_SECURITY = re.compile(r"-security\b|Debian-Security|UbuntuESM", re.IGNORECASE)
_NAMED = 10


def look(ports: AuditPorts, settings: Settings, at: datetime) -> Looked:
    """WARNING: security updates wait. UNKNOWN: the host has no apt, or its lists are old."""
    looked, waiting = Looked(well="No security update waits."), 0
    for host in ports.system.hosts.values():
        try:
            waiting += _look_at(host, settings, at, looked)
        except TdevError as error:
            looked.skipped[host.name] = str(error)
    looked.figures.append(Measurement("security updates that wait", waiting, warning=1))
    return looked


def _look_at(host: Host, settings: Settings, at: datetime, looked: Looked) -> int:
    rules = settings.security.audit
    made = host.run(list(rules.package_lists))
    moments = [float(word) for word in made.stdout.split() if re.fullmatch(r"\d+(\.\d+)?", word)]
    if made.exit_status != 0 or not moments:
        looked.skipped[host.name] = "it has no lists of security updates; run `apt-get update` there, each day"
        return 0
    days = (at.timestamp() - max(moments)) / 86_400
    if days > rules.package_lists_days:
        looked.skipped[host.name] = f"its lists of security updates are {days:.0f} days old; run `apt-get update` there"
        return 0
    told = host.run(list(rules.package_upgrades), timeout_seconds=120)
    if told.exit_status != 0 or told.truncated:
        looked.skipped[host.name] = f"{rules.package_upgrades[0]} ended with status {told.exit_status}"
        return 0
    looked.seen.append(host.name)
    found = [match for match in _WAITING.finditer(told.stdout) if _SECURITY.search(match[4])]
    looked.facts += [
        f"{host.name}: {name} {before or 'new'} -> {after}" for name, before, after, _ in (m.groups() for m in found)
    ]
    if found:
        names = ", ".join(match[1] for match in found[:_NAMED])
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        looked.warn(f"{counted(len(found), 'security update')} wait on {host.name}: {names}{more}.")
    return len(found)
