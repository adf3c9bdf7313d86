"""What is killed: pg_dump, the task, the worker. What begins at the same time, and what is asleep meanwhile."""

import os
import signal
import time

from sandbox.fault_proxy import Call
from tests.faults.harm import harmless
from tests.faults.moments import (
    COPY,
    DUMPED,
    LIST,
    MANIFEST,
    MARK,
    PACK,
    PART,
    PROOF,
    PROVING,
    READ,
    SECOND_PART,
    UPLOAD,
    at,
    passing,
)
from tests.faults.worker import TRY_AGAIN
from tests.faults.world import LEASE_SECONDS

_MOMENTS = (MARK, PART, DUMPED, PROOF, READ, COPY, MANIFEST, PROVING)


@at("kill -9 of pg_dump", *(passing("pg_dump", share) for share in (0.01, 0.2, 0.5, 0.7, 0.9)))
def test_pg_dump_is_killed(world, fault, moment, holder, record):
    killed = []

    def kill():
        dumpers = run[0].dumpers()
        killed.append(dumpers[0] if moment.share != 0.5 else dumpers[-1])
        os.kill(killed[0], signal.SIGKILL)

    run = []
    with world.armed(moment, Call(kill)):
        run.append(world.start("take", holder=holder))
        run[0].wait()
    assert killed
    assert run[0].status == TRY_AGAIN, run[0].log
    record(fault, moment.name, harmless(world, run[0], holder=holder))


@at("kill -9 of the task", *_MOMENTS)
def test_the_task_is_killed(world, fault, moment, holder, record):
    run = []
    with world.armed(moment, Call(lambda: run[0].kill_task())):  # noqa: PLW0108  it runs later
        run.append(world.start(*moment.steps, holder=holder))
        run[0].wait()
    assert run[0].status == -signal.SIGKILL, run[0].log
    record(fault, moment.name, harmless(world, run[0], holder=holder))


@at("kill -9 of the worker", *_MOMENTS)
def test_the_worker_is_killed(world, fault, moment, holder, record):
    run = []
    with world.armed(moment, Call(lambda: run[0].kill_worker())):  # noqa: PLW0108  it runs later
        run.append(world.start(*moment.steps, holder=holder, scratch="embedded"))
        run[0].wait()
    assert run[0].status is None, run[0].log
    record(fault, moment.name, harmless(world, run[0], holder=holder, scratch="embedded"))


@at("two workers at once", MARK, UPLOAD, READ, MANIFEST)
def test_a_second_worker_begins_beside_the_first(world, fault, moment, holder, record):
    runs = []
    with world.armed(moment, Call(lambda: runs.append(world.start("take", holder=f"{holder}, second")))):
        first = world.start("take", holder=holder)
        first.wait()
    runs[0].wait()
    assert (first.status, runs[0].status) == (0, 0), first.log + runs[0].log
    assert "WAITING BusyError" in runs[0].log or f"{holder} holds backup:" in runs[0].log, runs[0].log
    sets = [one.manifest for one in world.repository.sets() if one.set_id != world.baseline]
    assert len(sets) == 2
    assert sets[0].started_at >= sets[1].completed_at  # one after the other
    record(fault, moment.name, f"the second waited; {harmless(world, runs[0], holder=holder)}")


@at("a worker asleep past its lease", PART, LIST, PACK, SECOND_PART, MANIFEST)
def test_a_worker_wakes_when_another_has_its_lease(world, fault, moment, holder, record):
    run = []
    with world.armed(moment, Call(lambda: os.killpg(run[0].worker, signal.SIGSTOP))) as asleep:
        run.append(world.start("take", holder=holder))
        world.s3.faults.wait_fired(asleep, 30)
        time.sleep(LEASE_SECONDS)
        second = world.start("take", holder=f"{holder}, second").wait()
        assert second.status == 0, second.log
    os.killpg(run[0].worker, signal.SIGCONT)
    run[0].wait()
    record(fault, moment.name, harmless(world, run[0], holder=holder))
