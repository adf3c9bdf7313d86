"""Which processes of a host hold its memory. Arguments are never read: they may be secrets of people."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tdev_operators.core.errors import GarbledAnswerError
from tdev_operators.core.health.on_hosts import output_of
from tdev_operators.core.masking import masked
from tdev_operators.core.ports import Host
from tdev_operators.core.reporting.escaping import one_line

_LIST = ("ps", "-eo", "pid=,ppid=,rss=,stat=,etimes=,comm=", "--sort=-rss")
_LINE = re.compile(r"\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(\d+)\s+(.*)")
_PSS = re.compile(r"^/proc/\d+/smaps_rollup:Pss:\s+(\d+) kB$", re.MULTILINE)
_REFUSED = re.compile(r"Permission denied|Operation not permitted")
_STAT = re.compile(r"^(\w+) (\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Process:
    """A process: `rss_kib` is what it holds in memory, shared pages included; `state` is the kernel's letter."""

    pid: int
    parent: int
    rss_kib: int
    state: str
    seconds: int
    name: str

    @property
    def line(self) -> str:
        """It as a line for people."""
        size, hours = self.rss_kib / 1024, self.seconds / 3600
        return f"{size:9.1f} MiB  pid {self.pid:<7} {self.state:<4} {hours:7.1f} h  {self.name}"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types only."""
        return asdict(self)


def processes_of(host: Host) -> list[Process]:
    """Return the processes of a host, the largest first.

    Raises:
        GarbledAnswerError: it lists none; InputError, and what `Host.run` raises.
    """
    found = [_LINE.fullmatch(line) for line in output_of(host, *_LIST).splitlines()]
    processes = [
        Process(int(one[1]), int(one[2]), int(one[3]), one[4], int(one[5]), masked(one_line(one[6], limit=40)))
        for one in found
        if one
    ]
    if not processes:
        raise GarbledAnswerError(f"`ps` on {host.name} listed no process; see what it says there.")
    return processes


def family_of(processes: Sequence[Process], pid: int) -> list[Process]:
    """Return a process and all that it started, as far as they still hang together."""
    members, grown = {pid}, True
    while grown:
        grown = False
        for process in processes:
            if process.parent in members and process.pid not in members:
                members.add(process.pid)
                grown = True
    return [process for process in processes if process.pid in members]


def held_by(host: Host, family: Sequence[Process], service: str) -> tuple[int, str]:
    """Return how much a service's processes hold together in KiB, and how that was measured.

    `PSS` counts a shared page once in all; only root and the processes' own user may read it. Else `cgroup`: what the
    kernel charges the service's own control group, without the files that it caches. Else `RSS`: shared pages count
    once a process, so it is too much.

    Raises what `Host.run` raises.
    """
    # A process that has ended meanwhile holds nothing; one whose figure is refused spoils the sum.
    paths = "\n".join(f"/proc/{process.pid}/smaps_rollup" for process in family)
    asked = host.run(["env", "LC_ALL=C", "xargs", "grep", "-H", "^Pss:"], timeout_seconds=10.0, stdin=f"{paths}\n")
    figures = [int(value) for value in _PSS.findall(asked.stdout)]
    if figures and not _REFUSED.search(asked.stderr):
        return sum(figures), "PSS"
    charged = _charged(host, family[0].pid if family else 0, service)
    if charged is not None:
        return charged, "cgroup"
    return sum(process.rss_kib for process in family), "RSS"


def _charged(host: Host, pid: int, service: str) -> int | None:
    """Return what is charged to the control group of a process in KiB; None unless it is the service's alone."""
    said = host.run(["cat", f"/proc/{pid}/cgroup"], timeout_seconds=10.0).stdout
    found = re.search(r"^0::(/\S+)$", said, re.MULTILINE)
    if not found or f"{service.removesuffix('.service')}.service" not in found[1].split("/"):
        return None
    unit = f"{service.removesuffix('.service')}.service"
    group = found[1][: found[1].index(f"/{unit}") + len(unit) + 1]  # what the service delegates lies below its own
    stat = host.run(["cat", f"/sys/fs/cgroup{group}/memory.stat"], timeout_seconds=10.0).stdout
    bytes_of = {name: int(value) for name, value in _STAT.findall(stat)}
    return (bytes_of["anon"] + bytes_of.get("shmem", 0)) // 1024 if "anon" in bytes_of else None


def pid_of(host: Host, command: Sequence[str], service: str) -> int:
    """Return the process id of a service, 0 when it has none; by the command of the settings.

    Raises:
        GarbledAnswerError: it printed no number; and what `Host.run` raises.
    """
    argv = [word.replace("{service}", service) for word in command]
    printed = output_of(host, *argv).strip() or "0"
    if not re.fullmatch(r"[0-9]{1,10}", printed):
        raise GarbledAnswerError(
            f"`{argv[0]}` on {host.name} gave no process id of {service} but {printed[:40]!r}; mend "
            "memory_relief.service_pid."
        )
    return int(printed)
