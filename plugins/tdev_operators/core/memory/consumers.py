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
