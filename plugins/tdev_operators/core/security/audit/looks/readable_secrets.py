"""Secrets in files that everybody on a host may read: logs and configuration."""

from datetime import datetime

from tdev_operators.core.errors import TdevError
from tdev_operators.core.health.findings import some
from tdev_operators.core.ports import CommandOutput, Host
from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.security.audit.looking import AuditPorts, Looked
from tdev_operators.core.settings import Settings

AGAINST = ""
HINT = (
    "Take the secret out and change it: whoever had an account on the host may have read it. Then `chmod o-r` the file."
)

# What a key looks like, whoever gave it out. Extended regular expressions; lines are never printed, names of files are.
PATTERNS = (
    r"-----BEGIN ([A-Z]+ )?PRIVATE KEY-----",
    r"(A3T[A-Z0-9]|AKIA|ASIA)[A-Z0-9]{16}",
    r"gh[pousr]_[A-Za-z0-9]{36}",
    r"xox[abpr]-[A-Za-z0-9-]{10,}",
    r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    r"(postgres|postgresql|mysql|redis|amqp)://[^:/ @]+:[^@ ]{3,}@",
    r"(password|passwd|secret|api_?key|token)[\"']?[ ]*[:=][ ]*[\"']?([^\"' ]*[0-9][^\"' ]{7,}|[^\"' ]{7,}[0-9])",
)
# One of each form, which are nobody's: they have to be counted before the look is believed.
CANARY = (
    "-----BEGIN EC PRIVATE KEY-----",
    "AKIA" + 16 * "Q",
    "ghp_" + 36 * "q",
    "xoxb-" + 12 * "1",
    "eyJ" + 12 * "a" + ".eyJ" + 12 * "b" + "." + 12 * "c",
    "postgresql://someone:planted@example.invalid/",
    "api_key = planted0planted",
)
_SHOWN = 20


def look(ports: AuditPorts, settings: Settings, at: datetime) -> Looked:  # noqa: ARG001  as every look
    """CRITICAL with the files' names; their lines stay on the host."""
    looked, canaries = Looked(well="No file that everybody may read looks as if it held a secret."), []
    for host in ports.system.hosts.values():
        try:
            canaries.append(_look_at(host, settings, looked))
        except TdevError as error:
            looked.skipped[host.name] = str(error)
    looked.canary_found = all(canaries) if canaries else None
    return looked


def _look_at(host: Host, settings: Settings, looked: Looked) -> bool:
    rules = settings.security.audit
    expressions = [word for pattern in PATTERNS for word in ("-e", pattern)]
    planted = host.run(["grep", "-icE", *expressions, "-"], stdin="".join(f"{line}\n" for line in CANARY))
    found_all = planted.stdout.strip() == str(len(CANARY))
    folders = list(dict.fromkeys([*rules.secret_folders, settings.logs.directory]))
    there = host.run(["find", "-H", *folders, "-maxdepth", "0", "-type", "d"]).stdout.splitlines()
    for folder in folders:
        if folder not in there:
            looked.skipped[f"{folder} on {host.name}"] = "it is not there, or is no folder"
    if not there:
        return found_all
    readable = ("find", "-H", *there, "-xdev", "-type", "f", "-perm", "-o=r")
    limit = f"{rules.secret_file_kb}k"
    searched = host.run(
        [*readable, "!", "-size", f"+{limit}", "-exec", "grep", "-IilE", *expressions, "{}", "+"],
        timeout_seconds=rules.secret_seconds,
    )
    _note_gaps(host, searched, looked)
    large = host.run([*readable, "-size", f"+{limit}"]).stdout.splitlines()
    if large:
        looked.skipped[f"large files of {host.name}"] = f"above security.audit.secret_file_kb: {some(large)}"
    looked.seen.append(host.name)
    allowed = set(rules.secret_files_accepted)
    names = sorted(name for name in searched.stdout.splitlines() if name and name not in allowed)
    looked.facts += [f"{host.name}: {name}" for name in names]
    if names:
        files = some(names, at_most=_SHOWN)
        looked.alarm(f"Everybody on {host.name} may read what looks like a secret in {files}.")
    return found_all


def _note_gaps(host: Host, searched: CommandOutput, looked: Looked) -> None:
    """Note what was not searched. What we may not open, others may not open either; what is gone is gone."""
    if searched.truncated:
        looked.skipped[f"files of {host.name}"] = "more names than could be read"
    # find hands on that grep found nothing in its last handful: 1 says nothing.
    if searched.exit_status not in (0, 1):
        looked.skipped[host.name] = f"the search ended with status {searched.exit_status}"
    odd = [
        line for line in searched.stderr.splitlines() if "Permission denied" not in line and "No such file" not in line
    ]
    if odd:
        looked.skipped[host.name] = f"the search says: {one_line(odd[0], 120)}"
