"""Space and inodes of the disks that the settings name for each host."""

from dataclasses import dataclass

from tdev_operators.core.disks import disks_of
from tdev_operators.core.errors import GarbledAnswerError
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.on_hosts import answers_of, on_each_host
from tdev_operators.core.ports import Host, SystemPorts
from tdev_operators.core.settings import HostSettings, Settings
from tdev_operators.core.verdicts import CheckResult

NEEDS: tuple[str, ...] = ("hosts",)
HINT = "Find what grows with `du -xh --max-depth=2 <mount> | sort -h | tail`; rotate logs, drop old WAL, or add space."

_KIB = 1024
_GIB_IN_KIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Mount:
    """A disk as `df` sees it; without a figure for inodes where the file system has no fixed number."""

    point: str
    used_percent: float
    free_kib: int
    inodes_used_percent: float | None


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """Hold each mount's used share of space and of inodes against its limits."""
    limits = settings.health.infrastructure
    findings = Findings(__name__)
    hosts, because_of = answers_of(on_each_host(system, settings, mounts), findings)
    fullest = ""
    highest = -1.0
    for name, disks in hosts.items():
        for mount in disks:
            target = f"{name}:{mount.point}"
            findings.saw(target)
            verdict = findings.measure(f"{target} used", mount.used_percent, "%", limits.disk_used_percent)
            free = f"{mount.free_kib / _GIB_IN_KIB:.1f} GiB free"
            findings.found(verdict, f"{target} is {mount.used_percent:.0f} % full ({free}).")
            if mount.used_percent > highest:
                highest, fullest = mount.used_percent, f"{target} is {mount.used_percent:.0f} % full ({free})"
            if mount.inodes_used_percent is not None:
                share = mount.inodes_used_percent
                verdict = findings.measure(f"{target} inodes used", share, "%", limits.inodes_used_percent)
                findings.found(verdict, f"{target} has used {share:.0f} % of its inodes; delete small files.")
    return findings.conclude(f"Of {sum(map(len, hosts.values()))} disks the fullest: {fullest}.", because_of=because_of)


def mounts(host: Host, entry: HostSettings) -> list[Mount]:
    """Return the disks that the settings name for a host.

    Raises:
        InputError: one of them cannot be seen. GarbledAnswerError, or what `Host.run` raises.
    """
    space = disks_of(host, entry.disks)
    inodes = disks_of(host, entry.disks, of="inodes")
    found: dict[str, Mount] = {}
    for one, nodes in zip(space, inodes, strict=True):
        if one.used + one.free <= 0:
            raise GarbledAnswerError(
                f"df on {host.name} gives {one.point} a size of {one.total // _KIB} KiB; name a real disk in disks."
            )
        # As df does it: what is reserved for root is not free for the services.
        usable = nodes.used + nodes.free
        found[one.point] = Mount(
            one.point,
            used_percent=100 * one.used / (one.used + one.free),
            free_kib=one.free // _KIB,
            # Some filesystems (btrfs, many network ones) have no fixed number of inodes and say 0.
            inodes_used_percent=100 * nodes.used / usable if nodes.total and usable else None,
        )
    return list(found.values())
