"""Secrets in files that everybody on a host may read: logs and configuration."""

from datetime import datetime

from tdev_operators.core.errors import TdevError
from tdev_operators.core.ports import Host
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
    r"(password|passwd|secret|api_?key|token)[\"']?[ ]*[:=][ ]*[\"']?[^\"' ]*[0-9][^\"' ]{7,}",
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
    looked, canaries = Looked(), []
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
    folders = [*rules.secret_folders, settings.logs.directory]
    searched = host.run(
        [
            *("find", *dict.fromkeys(folders), "-xdev", "-type", "f", "-perm", "-o=r"),
            *("-size", f"-{rules.secret_file_kb}k", "-exec", "grep", "-IilE", *expressions, "{}", "+"),
        ],
        timeout_seconds=rules.secret_seconds,
    )
    if searched.truncated:
        looked.skipped[f"files of {host.name}"] = "more names than could be read"
    absent = [line for line in searched.stderr.splitlines() if "No such file" in line]
    for folder in folders:
        if any(folder in line for line in absent):
            looked.skipped[f"{folder} on {host.name}"] = "it is not there"
    looked.seen.append(host.name)
    allowed = set(rules.secret_files_accepted)
    names = [name for name in searched.stdout.splitlines() if name and name not in allowed]
    looked.facts += [f"{host.name}: {name}" for name in sorted(names)]
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        looked.alarm(
            f"Everybody on {host.name} may read what looks like a secret in {', '.join(sorted(names)[:_SHOWN])}{more}."
        )
    return found_all
