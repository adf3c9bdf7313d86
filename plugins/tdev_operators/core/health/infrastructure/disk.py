"""Space and inodes of the disks that the settings name for each host."""

from dataclasses import dataclass

from tdev_operators.core.errors import GarbledAnswerError
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.on_hosts import answers_of, on_each_host, output_of
from tdev_operators.core.ports import Host, SystemPorts
from tdev_operators.core.settings import HostSettings, Settings
from tdev_operators.core.verdicts import CheckResult

NEEDS: tuple[str, ...] = ("hosts",)
HINT = "Find what grows with `du -xh --max-depth=2 <mount> | sort -h | tail`; rotate logs, drop old WAL, or add space."

_GIB_IN_KIB = 1024 * 1024
_FIELDS = 6  # filesystem, size, used, available, percent, mount


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
    """Return the disks that the settings name for a host; raises what `Host.run` does, and GarbledAnswerError."""
    space = _df(host, "-Pk", entry.disks)
    inodes = _df(host, "-Pi", entry.disks)
    found: dict[str, Mount] = {}
    for (total, used, free, point), (inodes_total, inodes_used, inodes_free, _) in zip(space, inodes, strict=True):
        if used + free <= 0:
            raise GarbledAnswerError(
                f"df on {host.name} gives {point} a size of {total} KiB; name a real disk in disks."
            )
        # As df does it: what is reserved for root is not free for the services.
        inodes_usable = inodes_used + inodes_free
        found[point] = Mount(
            point,
            used_percent=100 * used / (used + free),
            free_kib=free,
            # Some filesystems (btrfs, many network ones) have no fixed number of inodes and say 0.
            inodes_used_percent=100 * inodes_used / inodes_usable if inodes_total and inodes_usable else None,
        )
    return list(found.values())


def _df(host: Host, option: str, disks: tuple[str, ...]) -> list[tuple[int, int, int, str]]:
    """Return total, used, free and mount point of each disk, in the order asked."""
    lines = output_of(host, "env", "LC_ALL=C", "df", option, "--", *disks).splitlines()[1:]
    rows = []
    for line in lines:
        fields = line.split(maxsplit=_FIELDS - 1)
        try:
            rows.append((_figure(fields[1]), _figure(fields[2]), _figure(fields[3]), fields[5]))
        except (IndexError, ValueError):
            raise GarbledAnswerError(f"df on {host.name} printed a line that is not POSIX: {line[:100]!r}.") from None
    if len(rows) != len(disks):
        raise GarbledAnswerError(f"df on {host.name} printed {len(rows)} lines for {len(disks)} disks.")
    return rows


def _figure(text: str) -> int:
    return 0 if text == "-" else int(text)
