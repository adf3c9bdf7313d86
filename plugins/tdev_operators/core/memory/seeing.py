"""Who holds the memory of each host: the figures of the kernel, the largest processes, and the services."""

import time
from collections.abc import Mapping
from typing import Any

from tdev_operators.core.errors import InputError, TdevError
from tdev_operators.core.health.side_by_side import side_by_side
from tdev_operators.core.memory.consumers import family_of, held_by, pid_of, processes_of
from tdev_operators.core.memory.meminfo import MemInfo
from tdev_operators.core.ports import Host, SystemPorts
from tdev_operators.core.recovery.services import is_alive
from tdev_operators.core.settings import HostSettings, Settings

_AT_ONCE = 16
_REMARKS = {
    "RSS": "; perhaps less: shared pages count once a process, as only root and its own user may read its PSS",
    "cgroup": "; by its control group",
}


def look(system: SystemPorts, settings: Settings) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what every host says as plain JSON, and the sentence of those that say nothing."""
    jobs = {
        entry.name: lambda entry=entry: look_at(_reached(system, entry), entry, settings) for entry in settings.hosts
    }
    answers = side_by_side(jobs, at_most=_AT_ONCE)
    good = {name: answer for name, answer in answers.items() if not isinstance(answer, TdevError)}
    return good, {name: str(answer) for name, answer in answers.items() if isinstance(answer, TdevError)}


def look_at(host: Host, entry: HostSettings, settings: Settings) -> dict[str, Any]:
    """Return what one host says; raises what `Host.run` raises, and GarbledAnswerError."""
    memory, processes, rules = MemInfo.of(host), processes_of(host), settings.memory_relief
    services: dict[str, Any] = {}
    for service in entry.services:
        runs = is_alive(host, settings, service)
        pid = pid_of(host, rules.service_pid, service) if runs else 0
        held, measure = held_by(host, family_of(processes, pid), service) if pid else (0, "PSS")
        percent = round(100 * held / memory.total, 3)
        services[service] = {"runs": runs, "pid": pid, "held_kib": held, "measure": measure, "percent": percent}
    return {
        "total_kib": memory.total,
        "available_kib": memory.available,
        "free_kib": memory.free,
        "cached_kib": memory.cached,
        "reclaimable_kib": memory.reclaimable,
        "swap_used_kib": memory.swap_total - memory.swap_free,
        "used_percent": round(memory.used_percent, 2),
        "reclaimable_percent": round(100 * memory.reclaimable / memory.total, 2),
        "services": services,
        "consumers": [process.to_json() for process in processes[: rules.consumers]],
    }


def used_percent(host: Host) -> float:
    """Return how much of a host's memory is in use now."""
    return round(MemInfo.of(host).used_percent, 2)


def settled(host: Host, settings: Settings) -> float:
    """Return how much is in use once what was done shows."""
    time.sleep(settings.memory_relief.settle_seconds)
    return used_percent(host)


def lines_of(host: str, seen: Mapping[str, Any]) -> list[str]:
    """Return what was seen on a host, line by line, as the report shows it."""
    mib = {name: value / 1024 for name, value in seen.items() if name.endswith("_kib")}
    figures = (
        f"{host}: {seen['used_percent']:.1f} % used of {mib['total_kib']:.0f} MiB; available "
        f"{mib['available_kib']:.0f}, free {mib['free_kib']:.0f}, cached {mib['cached_kib']:.0f}, kernel's caches "
        f"{mib['reclaimable_kib']:.0f}, swapped out {mib['swap_used_kib']:.0f} MiB"
    )
    return [
        figures,
        *(_service_line(service, held) for service, held in seen["services"].items()),
        *(
            f"{one['rss_kib'] / 1024:9.1f} MiB  pid {one['pid']:<8} {one['state']:<4} {one['name']}"
            for one in seen["consumers"]
        ),
    ]


def _service_line(service: str, held: Mapping[str, Any]) -> str:
    if not held["runs"]:
        return f"{service}: does not run"
    mib = held.get("held_kib", held.get("rss_kib", 0)) / 1024  # the latter: of a run that began before an upgrade
    remark = _REMARKS.get(held.get("measure", ""), "")
    return f"{service}: {mib:.0f} MiB ({held['percent']:.1f} %), process {held['pid']}{remark}"


def _reached(system: SystemPorts, entry: HostSettings) -> Host:
    if entry.name not in system.hosts:
        raise InputError(f"There is no way to reach host {entry.name}; check its entry in [[hosts]].")
    return system.hosts[entry.name]
