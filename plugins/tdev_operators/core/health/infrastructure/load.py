"""Load of each host for each of its cores."""

import math

from tdev_operators.core.errors import GarbledAnswerError
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.on_hosts import answers_of, on_each_host, output_of
from tdev_operators.core.ports import Host, SystemPorts
from tdev_operators.core.settings import HostSettings, Settings
from tdev_operators.core.verdicts import CheckResult

NEEDS: tuple[str, ...] = ("hosts",)
HINT = "See who runs or waits for disk with `top -b -n 1 | head -20`; state D is disk, state R is CPU."


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """Hold the load of the last five minutes, divided by the cores, against its limit."""
    limits = settings.health.infrastructure.load_per_core
    findings = Findings(__name__)
    hosts, because_of = answers_of(on_each_host(system, settings, _load), findings)
    sentences = []
    for name, (load, cores) in hosts.items():
        findings.saw(name)
        verdict = findings.measure(f"{name} load per core", load / cores, "", limits)
        sentences.append(f"{name} has a load of {load:.2f} on {cores} cores ({load / cores:.2f} each).")
        findings.found(verdict, sentences[-1])
    return findings.conclude(" ".join(sentences), because_of=because_of)


def _load(host: Host, _: HostSettings) -> tuple[float, int]:
    """Return the mean load of five minutes and the number of cores."""
    averages, cores = output_of(host, "cat", "/proc/loadavg"), output_of(host, "nproc")
    try:
        load, count = float(averages.split()[1]), int(cores)
    except (IndexError, ValueError):
        raise GarbledAnswerError(f"/proc/loadavg or nproc on {host.name} gave no figures.") from None
    if count < 1 or load < 0 or not math.isfinite(load):
        raise GarbledAnswerError(f"{host.name} says it has {count} cores and a load of {load}.")
    return load, count
