"""The process that cleans up when its parent dies, however it dies: `python -I -S watchdog.py MARKER`.

Its standard input is a pipe that its parent holds open. Lines on it: `group PGID` (kill it at the end), `forget PGID`,
`folder PATH` (remove it at the end), `done` (the parent has cleaned up itself). When the pipe ends without `done`, or
the parent is gone, the watchdog kills and removes what was registered. Standard library only: it must start at once.
"""

import contextlib
import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

MARKER_VARIABLE = "TDEV_SANDBOX_PART"

_PARENT_POLL_SECONDS = 1.0
_POLITE_SECONDS = 2.0
_DEATH_SECONDS = 10.0


class ProcessFacts(NamedTuple):
    """What /proc says of a living process."""

    pid: int
    parent: int
    group: int
    started_ticks: int
    marker: str


def facts_of(pid: int) -> ProcessFacts | None:
    """Return what /proc says of a process; None when it is gone or only a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command name, in brackets, may itself hold spaces and brackets.
    state, parent, group, *rest = stat.rpartition(")")[2].split()
    if state in ("Z", "X"):
        return None
    return ProcessFacts(pid, int(parent), int(group), int(rest[16]), _marker_of(pid))


def _marker_of(pid: int) -> str:
    prefix = f"{MARKER_VARIABLE}=".encode()
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return ""
    return next((e[len(prefix) :].decode() for e in environment.split(b"\0") if e.startswith(prefix)), "")


def _all_processes() -> Iterator[ProcessFacts]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (facts := facts_of(int(entry.name))):
            yield facts


def processes_of(groups: Iterable[int], marker: str) -> set[int]:
    """Return the ids of all living processes of these groups or with this marker, and of all their descendants.

    The three ways complete each other: PostgreSQL gives each backend a session of its own and overwrites its
    environment, but keeps it a descendant; an orphan of another service is no descendant, but keeps the marker.
    """
    everything = list(_all_processes())
    wanted = set(groups)
    found = {p.pid for p in everything if p.group in wanted or p.marker == marker or p.marker.startswith(f"{marker}/")}
    while more := {p.pid for p in everything if p.parent in found} - found:
        found |= more
    return found - {os.getpid()}


def kill_all(groups: Iterable[int], marker: str) -> None:
    """Kill (SIGKILL) all processes of these groups and of this marker, and wait until they are gone."""
    groups = list(groups)
    deadline = time.monotonic() + _DEATH_SECONDS
    while (alive := processes_of(groups, marker)) and time.monotonic() < deadline:
        _send(alive, signal.SIGKILL)
        time.sleep(0.01)


def _send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def remove_folder(path: Path) -> None:
    """Remove a folder, also when a dying process still writes into it; or a single file."""
    for _ in range(50):
        if path.is_file():
            path.unlink(missing_ok=True)
        else:
            shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
        time.sleep(0.05)


class Register:
    """What is to be cleaned up: process groups with the start of their leaders, and folders."""

    def __init__(self) -> None:
        self._groups: dict[int, int] = {}
        self._folders: list[Path] = []
        self.done = False

    def note(self, line: str) -> None:
        """Take one line of the parent's."""
        verb, _, value = line.partition(" ")
        match verb:
            case "group":
                facts = facts_of(int(value))
                self._groups[int(value)] = facts.started_ticks if facts else 0
            case "forget":
                self._groups.pop(int(value), None)
            case "folder":
                self._folders.append(Path(value))
            case "done":
                self.done = True

    def clean_up(self, marker: str) -> None:
        """End the processes and remove the folders."""
        # A process id that meanwhile belongs to a process of somebody else is left alone.
        ours = [
            pid for pid, ticks in self._groups.items() if (now := facts_of(pid)) is None or now.started_ticks == ticks
        ]
        # A moment for a shutdown in order: a killed PostgreSQL leaves a System V shared memory segment behind.
        _send(ours, signal.SIGINT)
        deadline = time.monotonic() + _POLITE_SECONDS
        while processes_of(ours, marker) and time.monotonic() < deadline:
            time.sleep(0.02)
        kill_all(ours, marker)
        for folder in self._folders:
            remove_folder(folder)


def watch(marker: str) -> None:
    """Follow the parent's pipe to its end, then clean up what it left."""
    # The terminal's Ctrl-C and a polite kill are for the parent; the watchdog ends when the parent has ended.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    parent = os.getppid()
    register = Register()
    pending = b""
    # A fork of the parent may hold the pipe open after the parent has died, so the parent is watched too.
    while os.getppid() == parent:
        if not select.select([0], [], [], _PARENT_POLL_SECONDS)[0]:
            continue
        chunk = os.read(0, 65_536)
        if not chunk:
            break
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            register.note(line.decode())
        if register.done:
            return
    register.clean_up(marker)


if __name__ == "__main__":
    watch(sys.argv[1])
