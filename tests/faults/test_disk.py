"""A full disk below TMPDIR: a small file system that only the worker sees."""

from tests.faults.harm import harmless
from tests.faults.moments import Moment, at
from tests.faults.worker import TRY_AGAIN
from tests.small_disks import needs_mounts


@at("disk full", *(Moment(size) for size in ("4k", "16k", "128k", "768k")))
def test_the_disk_is_full(world, fault, moment, holder, record):
    needs_mounts()
    run = world.start("take", holder=holder, disk=moment.name).wait()
    assert run.status == TRY_AGAIN, run.log
    record(fault, f"{moment.name} in all", harmless(world, run, holder=holder))
