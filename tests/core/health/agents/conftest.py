"""A registry of agents and the store with their sources."""

import pytest

SOURCE = b"class Agent:\n    pass\n" + b"# filler\n" * 200


@pytest.fixture
def registry(fakes, ports):
    """Return a maker of ports: `sizes` by agent name in the database, `sources` by key in the bucket."""

    def make(agents, sources=None, **more):
        rows = [
            {"name": name, "version": "1.0.0", "size_kb": size, "instantiation_us": speed, "rows_hidden": False}
            for name, (size, speed) in agents.items()
        ]
        sources = {f"{name}/1.0.0.py": SOURCE for name in agents} if sources is None else sources
        store = fakes.Objects({"t-developer-agents": sources})
        return ports(database=fakes.Database(rows), objects=store, **more)

    return make


@pytest.fixture
def source():
    """Return a good source of 1.8 KB."""
    return SOURCE
