"""Small disks that really fill: file systems in memory which end with the process that holds them, however it ends."""

import os
import shutil
import subprocess
import time
from pathlib import Path

from sandbox.postgres import UNPRIVILEGED_USER
from sandbox.processes import Child, Supervisor, as_user
from tests.debian import not_run

_MOUNT = 'mount -t tmpfs -o "size=$2,mode=0711" tmpfs "$1" && touch "$1/ready"'
_UNSHARE = ("unshare", "--mount", "--propagation", "private")
_CHUNK = 64 * 1024


def needs_mounts() -> None:
    """Skip the test where nothing can be mounted, as only root can; under CI=true fail."""
    probe = [*_UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/tmp"]  # in a namespace that ends at once
    if not shutil.which("unshare") or subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        not_run("only root can mount a small file system")


class SmallDisk:
    """A disk of so many bytes. It is mounted where only its holder sees it; `folder` leads there for everybody."""

    def __init__(self, supervisor: Supervisor, name: str, size: int) -> None:
        """Mount it; the supervisor ends the holder, and with him the mount."""
        needs_mounts()
        self._supervisor, self._name = supervisor, f"disk-{name}"
        point = supervisor.home / self._name
        point.mkdir(mode=0o755)
        # The holder drops root, or nobody else might pass through his root folder.
        held = [*as_user(UNPRIVILEGED_USER), "sleep", "infinity"]
        script = f'{_MOUNT} && shift 2 && exec "$@"'
        argv = [*_UNSHARE, "sh", "-c", script, "sh", point, str(size), *held]
        child: Child = supervisor.spawn(self._name, argv)
        self.folder = Path(f"/proc/{child.pid}/root{point}")
        deadline = time.monotonic() + 5
        while not (self.folder / "ready").exists():
            assert time.monotonic() < deadline, child.log_tail()
            time.sleep(0.01)
        self._filler = self.folder / "filler"

    @property
    def free(self) -> int:
        """Bytes that are free."""
        disk = os.statvfs(self.folder)
        return disk.f_bavail * disk.f_frsize

    def fill(self, leave: int) -> None:
        """Let somebody else write until so many bytes are left."""
        with self._filler.open("ab") as file:
            while self.free > leave:
                file.write(bytes(min(_CHUNK, self.free - leave)))
                file.flush()

    def clear(self) -> None:
        """Remove what somebody else has written."""
        self._filler.unlink(missing_ok=True)

    def close(self) -> None:
        """End the holder."""
        self._supervisor.kill(self._name)
