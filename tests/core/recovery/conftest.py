"""A T-Developer on its worst day: two sets of it are taken and proven, then it goes on."""

import itertools
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest

from sandbox.system import Sandbox
from tdev_operators.core.recovery.request import RestoreRequest
from tdev_operators.core.recovery.restore import Restore
from tdev_operators.core.settings import Settings
from tdev_operators.hooks.connections import EnvironmentConnections
from tdev_operators.hooks.recovery_assembly import recovery_ports
from tests.core.backup.whole_sets import House

_RECOVERIES = itertools.count(1)


@dataclass
class WorstDay:
    """A sandbox with one PROVEN set, and restores of it."""

    house: House
    changes: dict = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        settings = self.house.settings
        return settings.model_copy(update={"recovery": settings.recovery.model_copy(update=self.changes)})

    @property
    def system(self) -> Sandbox:
        return self.house.system

    @contextmanager
    def ports(self, **changes):
        with recovery_ports(self.settings, EnvironmentConnections(self.system.environment)) as ports:
            yield replace(ports, **changes)

    @contextmanager
    def restore(self, request=None, *, ports=None, progress=lambda _: None, check=lambda: None, **asked):
        request = request or self.request(**asked)
        with self.ports(**(ports or {})) as opened:
            yield Restore(opened, self.settings, request, progress=progress, check=check)

    def request(self, **asked) -> RestoreRequest:
        return RestoreRequest(**{"recovery_id": f"restore-test-{next(_RECOVERIES)}", "requested_by": "lead", **asked})

    def names(self) -> set[str]:
        """The databases of the server."""
        with self.system.source.connect("postgres") as connection:
            return {row[0] for row in connection.execute("SELECT datname FROM pg_database WHERE NOT datistemplate")}

    def drop(self, *names):
        with self.system.source.connect("postgres") as connection:
            for name in names:
                connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def _worst_system():
    with Sandbox.start("small", engine=False) as system:
        yield system


@pytest.fixture(scope="session")
def _worst_house(_worst_system):
    with _worst_system.database() as database:
        (oid,) = database.execute("SELECT lo_from_bytea(0, 'a large object')").fetchone()
        database.execute(f"GRANT SELECT ON LARGE OBJECT {oid} TO maintenance")
    house = House(_worst_system)
    house.take()
    assert house.verify().proven
    return house


@pytest.fixture
def day(_worst_house):
    """The system after its set was PROVEN. What a test makes beside `t_developer` is dropped."""
    made = WorstDay(_worst_house)
    before = made.names()
    yield made
    made.drop(*(made.names() - before))


@pytest.hookimpl(tryfirst=True)  # before the plugin that reads the groups
def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/core/recovery/" in item.nodeid:
            item.add_marker(pytest.mark.xdist_group("recovery"))
            item.add_marker(pytest.mark.timeout(120))
