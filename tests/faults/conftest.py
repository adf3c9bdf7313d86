"""One world for all faults."""

import itertools

import pytest

_COUNT = itertools.count(1)


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/faults/" in item.nodeid:
            item.add_marker(pytest.mark.xdist_group("faults"))


@pytest.fixture(scope="session")
def _world(supervisor):
    from tests.faults.world import World

    home = supervisor.home / "faults"
    home.mkdir(mode=0o711)
    world = World(supervisor, home)
    yield world
    # Nothing but the first set is there now: after everything that happened beside it, it must prove again.
    last = world.start("verify", holder="the end").wait()
    world.close()
    assert last.result.get("verified") == world.baseline, last.log
    assert last.result["proven"], last.log


@pytest.fixture
def world(_world):
    _world.change()
    yield _world
    _world.end_all()
    _world.s3.faults.disarm_all()
    _world.postgres.faults.disarm_all()
    _world.forget_all_but_the_first()


@pytest.fixture
def holder():
    return f"run {next(_COUNT)}"
