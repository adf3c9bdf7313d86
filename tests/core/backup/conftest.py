"""Fixtures of back-ups: a sandbox for each worker, a name of its own for each test."""

import pytest

from sandbox.system import Sandbox
from tests.core.backup.whole_sets import House


@pytest.fixture(scope="session")
def maintained():
    """A small T-Developer whose evolution stands still."""
    with Sandbox.start("small", engine=False) as system:
        yield system


@pytest.fixture
def house(maintained):
    """The sandbox under a system name that no other test uses."""
    return House(maintained)
