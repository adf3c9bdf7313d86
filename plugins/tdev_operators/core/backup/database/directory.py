"""The folder that `pg_dump` fills while we empty it: each file is read as it grows, and what was read is given back.

`pg_dump --format=directory --jobs=N` has one file a table open in each worker (`NNNN.dat`), one file a large object
(`blob_N.dat`) with their lists (`blobs*.toc`), and writes `toc.dat` last. Local disk stays bounded because the read
part of a growing file is punched out of it, a file that was read is removed, and the whole group is stopped while
too much waits.
"""

import contextlib
import ctypes
import errno
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Event

from tdev_operators.core.errors import SetupMissingError, TransientError
from tdev_operators.core.private_folders import private_folder

MIB = 1024 * 1024
TOC = "toc.dat"

_READ_BYTES = MIB
_PAGE = 4096
_NAP_SECONDS = 0.02
_IMPATIENT_SECONDS = 1.0
_KEEP_SIZE, _PUNCH_HOLE = 0x01, 0x02
_LARGE_OBJECTS = re.compile(r"blobs(_\d+)?\.toc")
_LIBC = ctypes.CDLL(None, use_errno=True)


class CancelledError(Exception):
    """Somebody else failed; whoever reads or writes for the same dump ends too. Never seen outside."""


@contextmanager
def spool() -> Iterator[Path]:
    """Make a private folder for a dump below TMPDIR, and remove it; so are those that dead workers left.

    Raises:
        SetupMissingError: its file system cannot give back the read part of a file.
        TransientError: no folder can be made there, for example because the disk is full.
    """
    with private_folder() as folder:
        _try_punching(folder)
        yield folder


class DumpFile:
    """One file of the folder. The scanner says when it is finished; one reader takes its bytes."""

    def __init__(self, path: Path) -> None:
        """Begin at its start."""
        self.path = path
        self.offset = 0
        self.finished = False
        self.final_size: int | None = None
        self.queued = False
        self.done = False

    @property
    def name(self) -> str:
        """Its name in the folder."""
        return self.path.name

    @property
    def whole(self) -> bool:
        """Whether everything was handed out."""
        return self.offset == self.final_size

    def chunks(self, cancelled: Event) -> Iterator[bytes]:
        """Yield its bytes in large pieces as they come, to its end; then it is removed.

        Raises:
            CancelledError: `cancelled` was set while it waited or read.
        """
        descriptor = os.open(self.path, os.O_RDWR)
        try:
            yield from self._read(descriptor, cancelled)
        finally:
            os.close(descriptor)
        self.path.unlink()
        self.done = True

    def _read(self, descriptor: int, cancelled: Event) -> Iterator[bytes]:
        punched = 0
        slept = 0.0
        while True:
            finished = self.finished  # looked at before the size: it grows no more after this
            size = os.fstat(descriptor).st_size
            ready = size - self.offset
            if finished:
                self.final_size = size
            if cancelled.is_set():
                raise CancelledError
            if ready >= _READ_BYTES or (ready and (finished or slept >= _IMPATIENT_SECONDS)):
                chunk = os.pread(descriptor, _READ_BYTES, self.offset)
                self.offset += len(chunk)
                slept = 0.0
                if not self.whole and (aligned := self.offset // _PAGE * _PAGE) > punched:
                    _punch(descriptor, punched, aligned - punched)
                    punched = aligned
                yield chunk
            elif finished:
                return
            else:
                cancelled.wait(_NAP_SECONDS)
                slept += _NAP_SECONDS


class DumpDirectory:
    """What stands in the folder. `scan` is called by one thread, again and again; readers take from `waiting`.

    `backlog_bytes` is what waits to be read, `peak_bytes` the most disk that was ever taken (at a scan),
    `names` every table's file that was seen, `large_objects` the number of theirs.
    """

    def __init__(self, path: Path) -> None:
        """Watch a folder that `pg_dump` is going to make."""
        self.path = path
        self.waiting: SimpleQueue[DumpFile | None] = SimpleQueue()
        self.names: set[str] = set()
        self.large_objects = 0
        self.backlog_bytes = 0
        self.peak_bytes = 0
        self.scan_seconds = 0.0
        self._files: dict[str, DumpFile] = {}

    def scan(self, pid: int | None) -> None:
        """Look at the folder and at what the process `pid` and its workers have open. `None`: they ended."""
        began = time.thread_time()  # of our own work: on a busy machine we must not look more seldom
        listed = self._listed()
        opened = _open_files(pid, self.path) if pid is not None else frozenset()
        for name in [name for name, file in self._files.items() if file.done and name not in listed]:
            del self._files[name]
        backlog = disk = 0
        new: list[DumpFile] = []
        for name, facts in listed.items():
            disk += facts.st_blocks * 512
            if name == TOC:
                continue
            is_new = name not in self._files
            file = self._files.get(name) or self._found(name)
            # A file without content may have been created this instant, its descriptor not yet to be seen.
            seen_before = facts.st_size > 0 or not is_new
            file.finished = file.finished or pid is None or (seen_before and name not in opened)
            listing = _LARGE_OBJECTS.fullmatch(name) is not None
            if not file.done and not listing:
                backlog += max(0, -(-facts.st_size // _PAGE) * _PAGE - file.offset)
            # Their worker has such a list open beside the objects' files; a reader that waits for its end is one less.
            if not file.queued and (file.finished or not listing):
                file.queued = True
                new.append(file)
        # Finished ones first: readers that all wait for growing files could never free what a full disk waits for.
        for file in sorted(new, key=lambda file: not file.finished):
            self.waiting.put(file)
        self.backlog_bytes = backlog
        self.peak_bytes = max(self.peak_bytes, disk)
        self.scan_seconds = time.thread_time() - began

    def _found(self, name: str) -> DumpFile:
        file = self._files[name] = DumpFile(self.path / name)
        if name.startswith("blob_"):
            self.large_objects += 1
        else:
            self.names.add(name)
        return file

    def _listed(self) -> dict[str, os.stat_result]:
        found: dict[str, os.stat_result] = {}
        with contextlib.suppress(FileNotFoundError), os.scandir(self.path) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # a reader just removed it
                    found[entry.name] = entry.stat(follow_symlinks=False)
        return found


def _open_files(pid: int, folder: Path) -> frozenset[str]:
    prefix = f"{folder}/"
    found = set()
    for process in (pid, *_children(pid)):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), os.scandir(f"/proc/{process}/fd") as links:
            for link in links:
                with contextlib.suppress(FileNotFoundError):
                    target = os.readlink(link.path)  # noqa: PTH115 - a Path for each descriptor, 20 times a second
                    if target.startswith(prefix):
                        found.add(target[len(prefix) :])
    return frozenset(found)


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except (FileNotFoundError, ProcessLookupError):  # it ended; or a kernel that does not tell
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _parent(entry) == pid]


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def _punch(descriptor: int, start: int, length: int) -> None:
    mode = _PUNCH_HOLE | _KEEP_SIZE
    if _LIBC.fallocate(descriptor, mode, ctypes.c_int64(start), ctypes.c_int64(length)) != 0:
        number = ctypes.get_errno()
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number))


def _try_punching(folder: Path) -> None:
    probe = folder / "probe"
    try:
        probe.write_bytes(b"x" * 2 * _PAGE)
        with probe.open("r+b") as file:
            _punch(file.fileno(), 0, _PAGE)
        probe.unlink()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TransientError(f"The disk of {folder.parent} is full; free some of it.") from None
        raise SetupMissingError(
            f"The file system of {folder.parent} cannot free the read part of a file ({error.strerror}); "
            "set TMPDIR to a folder on ext4, xfs, btrfs or tmpfs."
        ) from None
