"""One world for all faults, and the table of how they ended."""

import itertools

import pytest

_HEADS = ("fault", "moment", "outcome")
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
    _world.s3.faults.disarm_all()
    _world.postgres.faults.disarm_all()
    _world.forget_all_but_the_first()


@pytest.fixture
def holder():
    return f"run {next(_COUNT)}"


@pytest.fixture
def record(record_property):
    """Keep a line of the table: it travels with the test's report, from another process too."""

    def keep(*cells):
        for head, cell in zip(_HEADS, cells, strict=True):
            record_property(head, cell)

    return keep


def pytest_terminal_summary(terminalreporter, config):
    if config.option.markexpr != "faults":
        return
    lines = [
        tuple(dict(report.user_properties).get(head, "") for head in _HEADS)
        for report in terminalreporter.stats.get("passed", [])
        if report.when == "call" and dict(report.user_properties).get("fault")
    ]
    if not lines:
        return
    widths = [max(len(line[column]) for line in [_HEADS, *lines]) for column in range(len(_HEADS))]
    terminalreporter.section("faults")
    for line in [_HEADS, *sorted(lines)]:
        terminalreporter.line("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
