"""Drills of a T-Developer that has one PROVEN set."""

import itertools
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from sandbox.system import Sandbox
from tdev_operators.core.drill.conclude import conclude
from tdev_operators.core.drill.drill import Drill, DrillRequest
from tdev_operators.core.settings import Settings
from tdev_operators.hooks.connections import EnvironmentConnections
from tdev_operators.hooks.drill_assembly import drill_ports
from tests.core.backup.whole_sets import House

_DRILLS = itertools.count(1)


@dataclass
class Rehearsed:
    """A house with a PROVEN set, and drills of it. `changes` are to `[drill]`, `application` to its application."""

    house: House
    changes: dict = field(default_factory=dict)
    application: dict = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        settings = self.house.settings
        application = settings.drill.application.model_copy(update=self.application)
        return settings.model_copy(
            update={"drill": settings.drill.model_copy(update={"application": application, **self.changes})}
        )

    @contextmanager
    def drill(self, request=None, *, ports=None, **options):
        """A drill with nothing but the bucket's connection."""
        bucket_only = {"AIRFLOW_CONN_TDEV_AWS": self.house.system.environment["AIRFLOW_CONN_TDEV_AWS"]}
        with drill_ports(self.settings, EnvironmentConnections(bucket_only)) as opened:
            yield Drill(replace(opened, **(ports or {})), self.settings, request or self.request(), **options)

    def request(self, **asked) -> DrillRequest:
        return DrillRequest(**{"recovery_id": f"drill-test-{next(_DRILLS)}", "requested_by": "lead", **asked})

    def hold(self, drill):
        """All steps of a drill; returns its outcome and evidence."""
        started_at = datetime.now(UTC)
        drill.intend()
        drill.note_approvals(["deputy"])
        drill.rehearse()
        drill.clear()
        return conclude(drill, self.settings, started_at, datetime.now(UTC), alone=True)

    def scratch_objects(self):
        everything = self.house.keys()
        return [key for key in everything if "/restored/" in key]


@pytest.fixture(scope="session")
def _drilled_house():
    with Sandbox.start("small", engine=False) as system:
        house = House(system)
        house.take()
        assert house.verify().proven
        yield house


@pytest.fixture
def rehearsed(_drilled_house):
    made = Rehearsed(_drilled_house)
    yield made
    assert made.scratch_objects() == [], "every drill leaves nothing"


@pytest.hookimpl(tryfirst=True)  # before the plugin that reads the groups
def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/core/drill/test_drill" in item.nodeid:
            item.add_marker(pytest.mark.xdist_group("drill"))
            item.add_marker(pytest.mark.timeout(300))
