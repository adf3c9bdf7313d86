"""A full disk below TMPDIR: a small file system that only the worker sees."""

import os
import tempfile
from pathlib import Path

import pytest

from tests.faults.harm import harmless
from tests.faults.moments import Moment, at
from tests.faults.worker import TRY_AGAIN, mount_small


def _may_mount():
    """Whether a child of ours can mount a file system of its own."""
    with tempfile.TemporaryDirectory() as folder:
        pid = os.fork()
        if pid == 0:
            try:
                mount_small(Path(folder), "64k")
            except OSError:
                os._exit(1)
            os._exit(0)
        return os.waitpid(pid, 0)[1] == 0


@at("disk full", *(Moment(size) for size in ("4k", "16k", "128k", "768k")))
def test_the_disk_is_full(world, fault, moment, holder, record):
    if not _may_mount():
        reason = "NOT RUN: only root can mount a small file system"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    run = world.start("take", holder=holder, disk=moment.name).wait()
    assert run.status == TRY_AGAIN, run.log
    record(fault, f"{moment.name} in all", harmless(world, run, holder=holder))
