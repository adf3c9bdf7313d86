"""What a host bears; the estimate is held against what a real server says of itself."""

import pytest

from tdev_operators.core.database.tuning.memory import Memory, memory_of, objections, shared_bytes
from tdev_operators.core.database.tuning.units import bytes_of
from tdev_operators.core.errors import GarbledAnswerError
from tdev_operators.core.ports import CommandOutput

GIB = 1024**3
HOST = Memory(total=16 * GIB, available=8 * GIB, free_huge_pages=0)


@pytest.fixture(scope="module")
def running(_tuned):
    return _tuned.seen().running


def said(running, changes, memory=HOST):
    return objections(changes, running, memory, share_percent=40)


def pages(size):
    return str(size // 8192)


def test_what_fits_is_not_objected_to(running):
    assert said(running, {"shared_buffers": pages(4 * GIB)}) == []
    assert said(running, {"shared_buffers": pages(64 * 1024**2)}, Memory(GIB, 0, 0)) == [], "less than now"
    assert said(running, {}) == []


def test_too_much_is(running):
    assert "more than 40 % of the host's 16.0 GiB" in said(running, {"shared_buffers": pages(7 * GIB)})[0]
    little = Memory(16 * GIB, GIB, 0)
    assert "1024 MiB are available" in said(running, {"shared_buffers": pages(4 * GIB)}, little)[0]
    huge = {"shared_buffers": pages(4 * GIB), "huge_pages": "on"}
    assert "only 0 MiB of them are free" in said(running, huge)[0]
    assert said(running, huge, Memory(16 * GIB, 8 * GIB, 5 * GIB)) == []
    assert "max_connections" in said(running, {"max_connections": "262143"}, Memory(2 * GIB, GIB, 0))[0]


def test_the_estimate_is_near_what_the_server_takes(tuned, running):
    """300 more connections and 64 locks each: within a quarter, and not below what it really takes."""
    before = bytes_of(running["shared_memory_size"].kind, running["shared_memory_size"].setting)
    with tuned.sql() as sql:
        sql.execute("ALTER SYSTEM SET max_connections = 3000")
    tuned.cluster.restart()
    after = tuned.seen().running
    grown = bytes_of(after["shared_memory_size"].kind, after["shared_memory_size"].setting) - before
    kinds = {name: setting.kind for name, setting in after.items()}
    old = {name: setting.setting for name, setting in running.items()}
    estimated = shared_bytes({**old, "max_connections": "3000"}, kinds) - shared_bytes(old, kinds)
    assert 0.9 * grown <= estimated <= 2 * grown, (estimated, grown)


def test_a_host_that_says_nothing_of_its_memory():
    class Odd:
        name = "odd"

        def run(self, argv, **_):
            return CommandOutput(0, "MemTotal: 5 kB\n", "")

    with pytest.raises(GarbledAnswerError, match="lacks MemTotal or MemAvailable"):
        memory_of(Odd())
