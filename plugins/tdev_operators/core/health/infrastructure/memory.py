"""Memory in use on each host, without what the kernel would give back at once."""

from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.on_hosts import answers_of, on_each_host
from tdev_operators.core.memory.meminfo import MemInfo
from tdev_operators.core.ports import Host, SystemPorts
from tdev_operators.core.settings import HostSettings, Settings
from tdev_operators.core.verdicts import CheckResult

NEEDS: tuple[str, ...] = ("hosts",)
HINT = (
    "Start `tdev_relieve_memory`: it shows who holds it, and restarts what may be; do not drop caches, they are "
    "counted as free."
)

_GIB_IN_KIB = 1024 * 1024


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """Hold the used share of each host's memory against its limit."""
    limits = settings.health.infrastructure.memory_used_percent
    findings = Findings(__name__)
    hosts, because_of = answers_of(on_each_host(system, settings, _memory), findings)
    sentences = []
    for name, (total, available) in hosts.items():
        findings.saw(name)
        used = 100 * (total - available) / total
        verdict = findings.measure(f"{name} memory used", used, "%", limits)
        free = f"{available / _GIB_IN_KIB:.1f} of {total / _GIB_IN_KIB:.1f} GiB available"
        sentences.append(f"{name} uses {used:.0f} % of its memory ({free}).")
        findings.found(verdict, sentences[-1])
    return findings.conclude(" ".join(sentences), because_of=because_of)


def _memory(host: Host, _: HostSettings) -> tuple[int, int]:
    """Return total and available KiB."""
    found = MemInfo.of(host)
    return found.total, found.available
