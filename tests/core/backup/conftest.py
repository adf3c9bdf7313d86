"""Fixtures of back-ups: a sandbox for each worker, a name of its own for each test; Debian's PostgreSQL."""

from pathlib import Path

import pytest

from sandbox.postgres import Cluster
from sandbox.system import Sandbox
from tests.core.backup.whole_sets import House
from tests.debian import needs_debian


@pytest.fixture(scope="session")
def maintained():
    """A small T-Developer whose evolution stands still."""
    with Sandbox.start("small", engine=False) as system:
        yield system


@pytest.fixture
def house(maintained):
    """The sandbox under a system name that no other test uses."""
    return House(maintained)


@pytest.fixture(scope="session")
def debian(supervisor):
    """A running PostgreSQL of Debian's packages, which has ICU, libxml and contrib."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    needs_debian("postgresql postgresql-contrib", str(found[-1] if found else "/usr/lib/postgresql/bin/postgres"))
    cluster = Cluster(supervisor, "test-debian")
    cluster.binaries = found[-1].parent
    yield cluster.start()
    cluster.stop()
