"""A server that is tuned by a role of few rights: its files, its service, its application's API, a store, a ledger."""

import itertools
import json
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sandbox.api import Api
from sandbox.object_store import REGION, ObjectStore
from sandbox.postgres import Cluster
from sandbox.processes import REPOSITORY
from sandbox.services import Services
from sandbox.settings_file import LEADS, write_settings
from sandbox.system import DATABASE_SERVICE, TUNING_GRANTS
from tdev_operators.core.database.tuning.apply import Tuning
from tdev_operators.core.database.tuning.outcome import result_of
from tdev_operators.core.database.tuning.plan import TuningRequest
from tdev_operators.core.database.tuning.reading import look
from tdev_operators.core.settings import load_settings
from tdev_operators.hooks.connections import EnvironmentConnections
from tdev_operators.hooks.ledger import PostgresLedger
from tdev_operators.hooks.ledger_schema import migrate
from tdev_operators.hooks.postgres_sessions import PostgresSource
from tdev_operators.hooks.tuning_assembly import tuning_ports
from tests.records import facts_of

_RUNS = itertools.count(1)
SUNDAY = datetime(2026, 11, 29, 3, 0, tzinfo=UTC)  # inside the maintenance window
DRIFT = {"max_connections": 200, "shared_buffers": "160MB", "work_mem": "16MB", "maintenance_work_mem": "256MB"}


class Tuned:
    """A server with PostgreSQL's own defaults, and runs of tuning against it."""

    def __init__(self, supervisor, name="tuned", version=18, **options):
        home = supervisor.home / f"home-{name}"
        home.mkdir()
        self.cluster = Cluster(supervisor, name, version=version, **options)
        self.logs = home / "var-log"
        self.logs.mkdir()
        self.objects = ObjectStore(supervisor, f"{name}-objects")
        self.api = Api(supervisor, self.cluster, self.logs, f"{name}-api")
        self.units = Services(home / "services.sock", {DATABASE_SERVICE: self.cluster})
        self.settings_file = home / "tdev.toml"

    def start(self):
        self.cluster.start()
        for role in ("t_developer", "maintenance"):
            self.cluster.create_role(role, member_of=("pg_monitor",) if role == "maintenance" else ())
        self.cluster.create_role("dba", member_of=("t_developer", "pg_monitor", "pg_read_all_data"))
        self.cluster.create_database("t_developer", owner="t_developer")
        self.cluster.create_database("ledger")
        with self.sql() as sql:
            for grant in (*TUNING_GRANTS, "GRANT CONNECT ON DATABASE t_developer TO maintenance, dba"):
                sql.execute(grant)
            schema = (REPOSITORY / "sandbox" / "schema.sql").read_text(encoding="utf-8")
            sql.execute(f"SET ROLE t_developer; {schema}; RESET ROLE")
        (self.objects.folder / "t-developer-backups").mkdir(parents=True)
        self.objects.start()
        self.api.start()
        migrate(facts_of(self.cluster.conninfo("ledger")))
        units = self.units
        differences = {
            "hosts": [{"name": "sandbox", "reach": "local", "services": []}],
            "logs": {"directory": str(self.logs)},
            "recovery": {
                "database_host": "sandbox",
                "service_stop": units.command("stop"),
                "service_start": units.command("start"),
                "service_alive": units.command("is-active"),
                "people": [{"username": name, "auth_id": name} for name in LEADS],
            },
            "tuning": {
                "database_service": DATABASE_SERVICE,
                "data_directory": str(self.cluster.data),
                "service_restart": units.command("restart"),
                "trial": [str(self.cluster.binaries / "postgres"), "-C", "{name}", "-D", "{data}"],
                "restart_seconds": 8,
                "database": DRIFT,
            },
        }
        write_settings(self.settings_file, differences)
        return self

    def stop(self):
        for part in (self.api, self.objects, self.cluster):
            part.stop()

    def sql(self, user="postgres"):
        return self.cluster.connect("t_developer", user=user)

    def value(self, query, *params):
        with self.sql() as sql:
            return sql.execute(query, params or None).fetchone()[0]

    def running(self, name):
        return self.value("SELECT current_setting(%s)", name)

    @property
    def auto(self):
        return (self.cluster.data / "postgresql.auto.conf").read_text(encoding="utf-8")

    @property
    def copies(self):
        return [file.name for file in self.cluster.data.glob("postgresql.auto.conf.*")]

    @property
    def environment(self):
        def postgres(user):
            info = self.cluster.conninfo("t_developer", user=user)
            keys = {"login": user, "schema": "t_developer", "conn_type": "postgres"}
            return {**keys, "host": info["host"], "port": info["port"], "password": info["password"]}

        aws = {
            "conn_type": "aws",
            "login": self.objects.access_key,
            "password": self.objects.secret_key,
            "extra": {"region_name": REGION, "service_config": {"s3": {"endpoint_url": self.objects.endpoint_url}}},
        }
        api = {"conn_type": "http", "host": self.api.host, "port": self.api.port, "schema": "http"}
        known = {
            "POSTGRES": postgres("maintenance"),
            "DBA": postgres("dba"),
            "AWS": aws,
            "API": {**api, "password": self.api.token},
        }
        return {f"AIRFLOW_CONN_TDEV_{name}": json.dumps(value) for name, value in known.items()}

    @property
    def ledger(self):
        return PostgresLedger(facts_of(self.cluster.conninfo("ledger")))

    @property
    def source(self):
        return PostgresSource(EnvironmentConnections(self.environment).get("tdev_dba"))

    def seen(self):
        with self.source.session() as session:
            return look(session)

    def settings(self, **tuning):
        settings = load_settings(self.settings_file)
        database = tuning.pop("database", None)
        if database is not None:
            tuning["database"] = database
        return settings.model_copy(update={"tuning": settings.tuning.model_copy(update=tuning)})

    @contextmanager
    def ports(self, settings=None, **changes):
        with tuning_ports(settings or self.settings(), EnvironmentConnections(self.environment)) as ports:
            yield replace(ports, **{"clock": lambda: SUNDAY, **changes})

    def request(self, **asked):
        return TuningRequest(
            **{"tuning_id": f"tuning-test-{next(_RUNS)}", "requested_by": "lead", "dry_run": False, **asked}
        )

    @contextmanager
    def run(self, request, *, settings=None, ports=None, **options):
        settings = settings or self.settings()
        with self.ports(settings, **(ports or {})) as opened:
            yield Tuning(opened, settings, request, **options)

    def step(self, request, name, **options):
        """Do one step as another worker would: with nothing but the request."""
        with self.run(request, **options) as tuning:
            if name == "approve":
                return tuning.note_approvals(["deputy"])
            if name == "result":
                return result_of(tuning.journal, request.requested_by)
            return getattr(tuning, name)()

    def all_steps(self, request, **options):
        """Do a whole run, approved, and return its result."""
        for name in ("look", "approve", "apply", "restart"):
            self.step(request, name, **options)
        return self.step(request, "result")

    def undo(self, request, **asked):
        """Take a run back; return the result."""
        return self.all_steps(self.request(undo=request.tuning_id, **asked))

    def as_new(self):
        """Leave no trace of a test."""
        if not self.cluster.running:
            (self.cluster.data / "postgresql.auto.conf").write_text("", encoding="utf-8")
            self.cluster.start()
        for file in self.cluster.data.glob("postgresql.auto.conf.*"):
            file.unlink()
        with self.sql() as sql:
            sql.execute("ALTER SYSTEM RESET ALL")
            sql.execute("ALTER ROLE dba RESET ALL")
            sql.execute("UPDATE evolution_state SET config = DEFAULT")
            sql.execute("SELECT pg_reload_conf()")
            sql.execute("SELECT count(*) FROM pg_file_settings")  # tells this session what waits
            waits = sql.execute("SELECT count(*) FROM pg_settings WHERE pending_restart").fetchone()[0]
        if waits:
            self.cluster.restart()


@pytest.fixture(scope="session")
def _tuned(supervisor):
    made = Tuned(supervisor).start()
    yield made
    made.stop()


@pytest.fixture
def tuned(_tuned):
    """A server that was never tuned: `work_mem`, `maintenance_work_mem` and `shared_buffers` differ."""
    yield _tuned
    _tuned.as_new()


@pytest.fixture
def a_day():
    """A day."""
    return timedelta(days=1)


@pytest.hookimpl(tryfirst=True)  # before the plugin that reads the groups
def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/core/database/tuning/" in item.nodeid:
            item.add_marker(pytest.mark.xdist_group("tuning"))
            item.add_marker(pytest.mark.timeout(120))
