"""Wall time, CPU seconds of client, server and store, peak memory and peak local disk of one piece of work."""

import multiprocessing
import os
import resource
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple, Self

_TICKS = os.sysconf("SC_CLK_TCK")
_DISK_BLOCK = 512  # of st_blocks, whatever the file system's own is
_WATCH_SECONDS = 0.1
_LONGEST_SECONDS = 3_600.0


class Cpu(NamedTuple):
    """CPU seconds; None: not on this machine."""

    client: float
    server: float | None
    store: float | None

    def __str__(self) -> str:
        return "/".join("-" if each is None else f"{each:.1f}" for each in self)


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement. Of work that had a process of its own, its memory and its time with the process are known."""

    seconds: float
    cpu: Cpu
    peak_disk_bytes: int
    peak_memory_bytes: int | None = None
    process_seconds: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Servers:
    """The process ids of the PostgreSQL server and of the store whose CPU counts; None: not on this machine."""

    database: int | None
    store: int | None


def median_measured(runs: Iterable[Measured]) -> Measured:
    """Return the run with the (lower) median of wall time, whole, so that its time and its CPU belong together."""
    ordered = sorted(runs, key=lambda each: each.seconds)
    return ordered[(len(ordered) - 1) // 2]


def measure(work: Callable[[], str | None], servers: Servers, folder: Path) -> Measured:
    """Measure work that is done by child processes of this one; what it returns becomes the note.

    `folder` is where it may write: the largest size that it had is the peak local disk.
    """
    with _server_cpu(servers) as server_cpu, _Watch(folder) as watch:
        client, start = _own_cpu(resource.RUSAGE_CHILDREN), time.perf_counter()
        note = work()
        seconds = time.perf_counter() - start
        client = _own_cpu(resource.RUSAGE_CHILDREN) - client
    return Measured(seconds, Cpu(client, *server_cpu), watch.peak_disk_bytes, note=note or "")


def measure_apart(task: Callable[[], None], servers: Servers, folder: Path) -> Measured:
    """Measure a task in a fresh process, as a worker runs it: its time from inside, its memory from outside.

    `task` must be picklable. Its TMPDIR is `folder`. Memory is the proportional share (PSS) of the process and all
    that it starts, PostgreSQL servers excepted; CPU is of the same processes, as far as they have ended.

    Raises:
        RuntimeError: the task raised, or took over an hour; its traceback is the message.
    """
    receiver, sender = multiprocessing.Pipe(duplex=False)
    # A fork would begin with this process's memory.
    process = multiprocessing.get_context("spawn").Process(target=_run_apart, args=(task, str(folder), sender))
    with _server_cpu(servers) as server_cpu:
        start = time.perf_counter()
        process.start()
        sender.close()
        with _Watch(folder, process.pid) as watch:
            try:
                answer = receiver.recv() if receiver.poll(_LONGEST_SECONDS) else "It took over an hour."
            except EOFError:
                answer = "Its process died."
            finally:
                receiver.close()
                process.join(10)
                process_seconds = time.perf_counter() - start
                process.kill()
    if not isinstance(answer, tuple):
        raise RuntimeError(answer)  # noqa: TRY004  what went wrong, in words
    seconds, client = answer
    return Measured(seconds, Cpu(client, *server_cpu), watch.peak_disk_bytes, watch.peak_memory_bytes, process_seconds)


def _run_apart(task: Callable[[], None], folder: str, sender: Connection) -> None:
    os.environ["TMPDIR"] = tempfile.tempdir = folder
    client, start = _own_cpu(resource.RUSAGE_SELF) + _own_cpu(resource.RUSAGE_CHILDREN), time.perf_counter()
    try:
        task()
    except BaseException:  # noqa: BLE001  the other process raises it
        sender.send(traceback.format_exc())
    else:
        seconds = time.perf_counter() - start
        sender.send((seconds, _own_cpu(resource.RUSAGE_SELF) + _own_cpu(resource.RUSAGE_CHILDREN) - client))


@contextmanager
def _server_cpu(servers: Servers) -> Iterator[list[float | None]]:
    """Yield a list that holds the servers' CPU seconds when the block has ended."""
    used: list[float | None] = []
    pids = (servers.database, servers.store)
    before = [None if pid is None else _cpu_of(pid) for pid in pids]
    yield used
    after = [None if pid is None else _cpu_of(pid) for pid in pids]
    used += [None if a is None or b is None else a - b for a, b in zip(after, before, strict=True)]


def _own_cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def _cpu_of(pid: int) -> float:
    """CPU seconds of a server: its own, of the children that it reaped, and of those that live."""
    parents = _processes()
    ticks = sum(map(int, _stat(pid)[11:15]))
    for child, parent in parents.items():
        if parent == pid:
            ticks += sum(map(int, _stat(child)[11:13]))
    return ticks / _TICKS


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat behind the name; zeros when it has just ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")[2].split()
    except OSError:
        return ["0"] * 50


def _processes() -> dict[int, int]:
    """Return the parent of every process."""
    return {int(name): int(_stat(int(name))[1]) for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208


def _tree(root: int) -> Iterator[int]:
    parents = _processes()
    family = {root}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    yield from family


@dataclass(eq=False)
class _Watch:
    """Looks at a folder's size, and at the memory of a process and what it started, all the time."""

    folder: Path
    pid: int | None = None
    peak_disk_bytes: int = 0
    peak_memory_bytes: int | None = None
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _at_first: int = 0

    def __enter__(self) -> Self:
        self._at_first = _disk_bytes(self.folder)
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread:
            self._thread.join()

    def _look(self) -> None:
        while True:
            last, start = self._ended.is_set(), time.thread_time()
            self.peak_disk_bytes = max(self.peak_disk_bytes, _disk_bytes(self.folder) - self._at_first)
            if self.pid is not None:
                memory = sum(map(_memory_bytes, _tree(self.pid)))
                self.peak_memory_bytes = max(self.peak_memory_bytes or 0, memory)
            if last:
                return
            # A folder of thousands of files takes time to look at: never more than a tenth of one core.
            self._ended.wait(max(_WATCH_SECONDS, 10 * (time.thread_time() - start)))


def _disk_bytes(folder: Path) -> int:
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                found = os.lstat(os.path.join(where, name))  # noqa: PTH118  (5,000 files)
                # Some file systems give a file its blocks only when they write it back.
                total += max(found.st_size, found.st_blocks * _DISK_BLOCK)
            except OSError:
                continue
    return total


def _memory_bytes(pid: int) -> int:
    try:
        if Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() == "postgres":
            return 0
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
