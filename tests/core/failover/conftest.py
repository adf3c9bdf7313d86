"""Two sides: a real primary, a real standby, an S3 server, names that move; and somebody who tries to write to both."""

import contextlib
import itertools
import json
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sandbox.names import NameServer
from sandbox.object_store import REGION, ObjectStore
from sandbox.parts import Part
from sandbox.postgres import Cluster
from sandbox.processes import Supervisor
from sandbox.second_side import SecondSide
from sandbox.services import Services
from sandbox.settings_file import LEADS, write_settings
from tdev_operators.core.errors import TargetUnreachableError
from tdev_operators.core.failover.failover import Failover
from tdev_operators.core.failover.rejoin import Rejoin
from tdev_operators.core.failover.request import FailoverRequest
from tdev_operators.core.failover.told import results_of
from tdev_operators.core.settings import load_settings
from tdev_operators.hooks.connections import EnvironmentConnections
from tdev_operators.hooks.failover_assembly import failover_ports
from tests.seeded import one_of

_FAILOVERS = itertools.count(1)
NAMES = ("api.t-developer.com",)


class Application(Part):
    """The old side's application: all that a failover sees of it is whether it runs."""

    def _spawn(self):
        return self.supervisor.spawn(self.name, ["sleep", "600"])


class TwoSides:
    """What `SecondSide` needs of a sandbox, and no more."""

    def __init__(self, supervisor: Supervisor, *, follows=None):
        self.supervisor, self.home = supervisor, supervisor.home
        self.logs = self.home / "var-log"
        self.logs.mkdir()
        self.source = Cluster(supervisor, "source", settings={"wal_log_hints": "on", "full_page_writes": "on"}).start()
        self.source.create_role("t_developer")
        self.source.create_database("t_developer", owner="t_developer")
        with self.source.connect("t_developer") as database:
            database.execute("CREATE TABLE written (id bigint PRIMARY KEY)")
        self.objects = ObjectStore(supervisor)
        for bucket in ("agents", "checkpoints", "backups"):
            (self.objects.folder / f"t-developer-{bucket}").mkdir()
        self.objects.start()
        self.names = NameServer(supervisor, NAMES).start()
        self.settings_file = self.home / "tdev.toml"
        self.services = {"t-developer-api": Application(supervisor, "api").start()}
        self.unit_commands = Services(self.home / "services.sock", self.services)
        units = self.unit_commands
        differences: dict[str, Any] = {
            "hosts": [{"name": "sandbox", "reach": "local", "services": []}],
            "recovery": {
                "database_host": "",
                "service_stop": units.command("stop"),
                "service_start": units.command("start"),
                "service_alive": units.command("is-active"),
                "service_seconds": 15,
                "people": [{"username": name, "auth_id": name} for name in LEADS],
            },
            "dns": {"resolver": f"{self.names.host}:{self.names.port}"},
        }
        write_settings(self.settings_file, differences)
        self.second = SecondSide(self, follows=follows(self.source.port) if follows else 0).start()

    @property
    def environment(self):
        aws = {
            "conn_type": "aws",
            "login": self.objects.access_key,
            "password": self.objects.secret_key,
            "extra": {"region_name": REGION, "service_config": {"s3": {"endpoint_url": self.objects.endpoint_url}}},
        }
        return {"AIRFLOW_CONN_TDEV_AWS": json.dumps(aws), **self.second.environment}

    def settings(self, **changes):
        settings = load_settings(self.settings_file)
        sides = tuple(
            side.model_copy(update={"api_connection": ""}) if side.name == "first" else side
            for side in settings.failover.sides
        )
        return settings.model_copy(
            update={"failover": settings.failover.model_copy(update={"sides": sides, **changes})}
        )

    def request(self, **asked) -> FailoverRequest:
        return FailoverRequest(
            **{"recovery_id": f"failover-test-{next(_FAILOVERS)}", "to": "second", "requested_by": "lead", **asked}
        )

    @contextmanager
    def failover(self, request=None, *, ports=None, changes=None, environment=None, **options):
        known = EnvironmentConnections({**self.environment, **(environment or {})})
        with failover_ports(self.settings(**(changes or {})), known) as opened:
            yield Failover(
                replace(opened, **(ports or {})), self.settings(**(changes or {})), request or self.request(), **options
            )

    def step(self, request, name, **options):
        """Do one step as another worker would: with nothing but the request."""
        with self.failover(request, **options) as failover:
            if name == "approve":
                return failover.note_approvals(["deputy"])
            return getattr(failover, name)()

    def give_up(self, request):
        with self.failover(request) as failover:
            return failover.give_up(["deputy"])

    def other_cluster(self):
        """A stopped cluster that has nothing to do with the sides."""
        other = Cluster(self.supervisor, "other").start()
        other.stop()
        return other

    def as_role(self, login, password):
        """The second side's connection as another role."""
        return json.dumps(
            {**json.loads(self.environment["AIRFLOW_CONN_TDEV_SIDE_SECOND"]), "login": login, "password": password}
        )

    def all_steps(self, request, **options):
        for name in ("look", "approve", "fence", "sync", "promote", "switch_names", "start", "verify"):
            self.step(request, name, **options)

    def ids(self, cluster):
        with cluster.connect("t_developer") as database:
            return {row[0] for row in database.execute("SELECT id FROM written")}


class Writer:
    """Writes rows to whichever side takes them, all the time; remembers what was committed, and two that both took."""

    def __init__(self, sides: TwoSides):
        self.committed: set[int] = set()
        self.both: list[int] = []
        self._numbers, self._over = itertools.count(1), threading.Event()
        self._clusters = (sides.source, sides.second.standby)
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join(30)

    def _work(self):
        while not self._over.is_set():
            took = [self._write(cluster) for cluster in self._clusters]
            if all(took):
                self.both.append(max(self.committed))
            self._over.wait(0.01)

    def _write(self, cluster) -> bool:
        number = next(self._numbers)
        with contextlib.suppress(psycopg.Error), cluster.connect("t_developer") as database:
            database.execute("INSERT INTO written VALUES (%s)", (number,))
            self.committed.add(number)
            return True
        return False


def told(sides, request):
    """The results that the journal of a failover gives."""
    with sides.failover(request) as failover:
        return results_of(failover.journal)


def is_primary(cluster):
    try:
        with cluster.connect() as connection:
            return not connection.execute("SELECT pg_is_in_recovery()").fetchone()[0]
    except psycopg.Error:
        return False


def deaf(sides):
    """Commands of a host that cannot be reached."""
    return {"hosts": {"sandbox": DeafHost()}}


class DeafHost:
    name = "sandbox"

    def run(self, argv, **_):
        raise TargetUnreachableError("The host sandbox cannot be reached.")


def fence_unplanned(sides, request, **options):
    for step in ("look", "approve"):
        sides.step(request, step)
    return sides.step(request, "fence", ports=deaf(sides), **options)


def rejoin(sides, approved_by=("deputy",)):
    with sides.failover() as failover:
        work = Rejoin(failover.ports, failover.settings, "rejoin-test-1", "first")
        return work.carry_out(approved_by, "lead")


@pytest.fixture
def supervisor():
    with Supervisor() as supervisor:
        yield supervisor


@pytest.fixture
def sides(supervisor):
    return TwoSides(supervisor)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    here = Path(__file__).resolve().parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.timeout(180))
    faults = sorted({item.originalname for item in items if item.path == here / "test_faults.py"})
    chosen = faults and faults[one_of("failover", len(faults))]
    for item in items:
        if item.path == here / "test_faults.py" and item.originalname != chosen:
            item.add_marker(pytest.mark.faults)
