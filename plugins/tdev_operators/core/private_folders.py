"""Private temporary folders that go with the process that made them, kill -9 included.

A folder is held by a lock on a file in it. Whoever finds one that nobody holds removes it, with what still runs there:
a killed server's backends notice their postmaster's death only when they next wait.
"""

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tdev_operators.core.errors import CommandFailedError, TransientError

PREFIX = "tdev-scratch-"
_OWNER = "owner.lock"
# Between its making and its locking a folder looks dead; nobody needs so long for that.
_NEWBORN_SECONDS = 60.0
_REMOVE_SECONDS = 10.0
_IPC_RMID = 0
_SEGMENT_LINE = 6  # of postmaster.pid: the key and the id of its System V segment


@contextmanager
def private_folder() -> Iterator[Path]:
    """Make a folder below TMPDIR that goes with the block, or with our process; dead ones are removed first.

    Raises:
        TransientError: no folder can be made there, for example because the disk is full.
        CommandFailedError: what runs in it cannot be ended, or the disk refuses to remove it.
    """
    sweep()
    try:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    except OSError as error:
        raise TransientError(
            f"No folder can be made below {tempfile.gettempdir()} ({error.strerror}); free its disk."
        ) from None
    unborn = folder / f"{_OWNER}.new"
    lock = os.open(unborn, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        unborn.rename(folder / _OWNER)  # only now: whoever finds it unlocked takes its owner for dead
        yield folder
    finally:
        try:
            _remove(folder)
        finally:
            os.close(lock)


def sweep() -> list[Path]:
    """Remove the folders of dead processes and what still runs in them; return which they were."""
    return [folder for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*") if _swept(folder)]


def _swept(folder: Path) -> bool:
    try:
        lock = os.open(folder / _OWNER, os.O_RDWR)
    except FileNotFoundError:
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > _NEWBORN_SECONDS:
                _remove(folder)
                return True
        return False
    except OSError:  # another user's
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(folder)
    except BlockingIOError:
        return False
    except (CommandFailedError, RecursionError):  # it stays, and must not keep others from a folder of theirs
        return False
    finally:
        os.close(lock)
    return True


def _remove(folder: Path) -> None:
    deadline = time.monotonic() + _REMOVE_SECONDS
    while folder.exists():
        working = list(_working_in(folder))
        for pid in working:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not working:  # only now is nobody attached to the segment, and nobody writes
            for file in folder.glob("*/postmaster.pid"):
                _drop_segment(file)
            shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            if time.monotonic() > deadline:
                raise CommandFailedError(f"The folder {folder} cannot be removed; see what runs there, and remove it.")
            time.sleep(0.02)


def _working_in(folder: Path) -> Iterator[int]:
    """Yield the processes whose working directory is below the folder: every backend of a server that we began."""
    inside = f"{folder}/"
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str((process / "cwd").readlink()).startswith(inside):
                yield int(process.name)


def _drop_segment(file: Path) -> None:
    """Remove the small System V segment that a killed server leaves behind, once nobody is attached to it."""
    try:
        key, segment = (int(word) for word in file.read_text(encoding="utf-8").splitlines()[_SEGMENT_LINE].split())
        lines = Path("/proc/sysvipc/shm").read_text(encoding="utf-8").splitlines()[1:]
    except (OSError, ValueError, IndexError):
        return
    for line in lines:
        known_key, known_id, _, _, _, _, attached = (int(word) for word in line.split()[:7])
        if (known_key % 2**32, known_id, attached) == (key % 2**32, segment, 0):
            ctypes.CDLL(None).shmctl(segment, _IPC_RMID, None)
