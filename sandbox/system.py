"""The whole stand-in as one thing: `Sandbox.start()`."""

import json
import sys
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from sandbox.api import Api
from sandbox.aws import SERVICES, ControlPlanes
from sandbox.breakage import Breakages
from sandbox.engine import Engine
from sandbox.mail import MailBox
from sandbox.names import NameServer
from sandbox.object_store import REGION, ObjectStore
from sandbox.parts import Part
from sandbox.postgres import Cluster
from sandbox.processes import LOOPBACK, REPOSITORY, Supervisor
from sandbox.releases import IMAGE, RELEASES_BUCKET, SOURCE, write_releases
from sandbox.scales import SCALES, ScaleName
from sandbox.second_side import SecondSide
from sandbox.seed import Story, load_database, tell_story
from sandbox.seed_files import write_buckets, write_logs
from sandbox.services import Services
from sandbox.settings_file import LEADS, write_settings
from sandbox.tls import TlsEnds
from sandbox.vulnerability_database import write_database
from sandbox.web_hooks import WebHooks

PUBLIC_NAMES = ("api.t-developer.com", "ws.t-developer.com", "monitor.t-developer.com")
OPERATORS_ADDRESS = "ops@t-developer.com"  # is alerted
READERS_ADDRESS = "team@t-developer.com"  # wants every report

# What docs/privileges.md gives to who applies tuning: these settings, and to see what stands in the files.
TUNING_GRANTS = (
    "GRANT SELECT ON pg_file_settings, pg_hba_file_rules TO dba",
    "GRANT EXECUTE ON FUNCTION pg_show_all_file_settings(), pg_hba_file_rules(), pg_reload_conf() TO dba",
    "GRANT ALTER SYSTEM ON PARAMETER max_connections, shared_buffers, work_mem, maintenance_work_mem TO dba",
)
DATABASE_SERVICE = "postgresql-1"


class Sandbox:
    """A running T-Developer with everything around it. A context manager: leaving it removes every trace.

    Its parts are attributes: `source`, `control`, `objects`, `aws`, `mail`, `web_hooks`, `names`, `tls`, `api` and
    `engine`. `logs` is the log folder, `settings_file` the product's settings, `environment` what the product needs.
    """

    def __init__(self, supervisor: Supervisor, scale: ScaleName, now: datetime, engine_interval_seconds: float) -> None:
        """Lay the parts out; nothing runs yet. Use `Sandbox.start`."""
        self.supervisor = supervisor
        self.home = supervisor.home
        self.scale = SCALES[scale]
        self.now = now
        self._started = time.monotonic()
        self.logs = self.home / "var-log"
        self._scanners = self.home / "scanners"
        self.logs.mkdir(mode=0o700)
        self.source = Cluster(supervisor, "source", settings={"full_page_writes": "on"})  # pg_rewind needs them
        self.control = Cluster(supervisor, "control")
        self.objects = ObjectStore(supervisor)
        self.web_hooks = WebHooks(supervisor)
        self.aws = ControlPlanes(supervisor, subscriber=self.web_hooks.sns_url)
        self.mail = MailBox(supervisor)
        self.names = NameServer(supervisor, PUBLIC_NAMES)
        self.tls = TlsEnds(supervisor, PUBLIC_NAMES)
        self.api = Api(supervisor, self.source, self.logs)
        self.engine = Engine(
            supervisor,
            self.source,
            self.objects,
            self.logs,
            interval_seconds=engine_interval_seconds,
            evaluations=self.scale.evaluations,
        )
        self.settings_file = self.home / "tdev.toml"
        self.services: Mapping[str, Part] = {"t-developer-evolution": self.engine, "t-developer-api": self.api}
        self.unit_commands = Services(self.home / "services.sock", self.services)
        self.unit_commands.add({DATABASE_SERVICE: self.source})
        self.second: SecondSide | None = None
        self._breakages = Breakages(self)

    @classmethod
    def start(
        cls,
        scale: ScaleName = "small",
        *,
        engine: bool = True,
        second_side: bool = False,
        engine_interval_seconds: float = 60.0,
        home: Path | None = None,
        now: datetime | None = None,
    ) -> Self:
        """Start everything, in parallel where it can be, and return when all of it answers.

        `second_side` adds a standby to fail over to. `now` (aware; default: the real now) is the moment at which the
        seeded history ends; the engine and the certificates always live in the present.
        """
        supervisor = Supervisor(home)
        try:
            sandbox = cls(supervisor, scale, now or datetime.now(UTC), engine_interval_seconds)
            sandbox._start_parts(engine=engine)
            if second_side:
                sandbox.second = SecondSide(sandbox).start()
        except BaseException:
            supervisor.close()
            raise
        return sandbox

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop everything and remove the home folder."""
        self.supervisor.close()

    def clock(self) -> datetime:
        """Return the sandbox's time: the given `now`, and what has passed since."""
        return self.now + timedelta(seconds=time.monotonic() - self._started)

    @property
    def parts(self) -> Mapping[str, Part]:
        """All parts by name: source, control, object-store, web-hooks, aws, mail, names, tls, api, engine."""
        everything: tuple[Part, ...] = (
            *(self.source, self.control, self.objects, self.web_hooks, self.aws),
            *(self.mail, self.names, self.tls, self.api, self.engine),
        )
        return {part.name: part for part in everything}

    def restart_part(self, name: str) -> None:
        """Stop a part and start it again at the same port."""
        self.parts[name].restart()

    def database(self) -> psycopg.Connection:
        """Return a superuser's connection to `t_developer`, in autocommit: for tests and breakages."""
        return self.source.connect("t_developer")

    def break_(self, what: str) -> None:
        """Break one aspect on purpose: see `breakage.BREAKAGES`."""
        self._breakages.break_(what)

    def mend(self) -> None:
        """Mend everything that was broken on purpose."""
        self._breakages.mend()

    @property
    def broken(self) -> tuple[str, ...]:
        """What is broken on purpose now."""
        return self._breakages.active

    @property
    def airflow_database_url(self) -> str:
        """The SQLAlchemy URL for Airflow's metadata (AIRFLOW__DATABASE__SQL_ALCHEMY_CONN); it holds a password."""
        info = self.control.conninfo("airflow", user="airflow")
        return "postgresql+psycopg2://{user}:{password}@{host}:{port}/{dbname}".format(**info)

    @property
    def environment(self) -> dict[str, str]:
        """What the product finds the sandbox by: `TDEV_SETTINGS` and the eight connections, in Airflow's JSON form."""
        endpoints = {service: {"endpoint_url": self.aws.endpoint_url} for service in SERVICES}
        aws_extra = {
            "region_name": REGION,
            "service_config": {**endpoints, "s3": {"endpoint_url": self.objects.endpoint_url}},
        }
        box = self.mail
        mail = {"host": box.host, "port": box.port, "login": box.login, "password": box.password}
        api = {"host": self.api.host, "port": self.api.port, "schema": "http", "password": self.api.token}
        connections: dict[str, dict[str, Any]] = {
            "POSTGRES": _postgres_connection(self.source, "t_developer", "maintenance"),
            "DBA": _postgres_connection(self.source, "t_developer", "dba"),
            "RESTORE": _postgres_connection(self.source, "postgres", "postgres"),
            "LEDGER": _postgres_connection(self.control, "ledger", "ledger"),
            "AWS": {
                "conn_type": "aws",
                "login": self.objects.access_key,
                "password": self.objects.secret_key,
                "extra": aws_extra,
            },
            "API": {"conn_type": "http", **api},
            "SMTP": {"conn_type": "smtp", **mail, "extra": {"disable_ssl": True, "disable_tls": True}},
            "SLACK": {"conn_type": "slackwebhook", "password": self.web_hooks.slack_url},
        }
        named = {f"AIRFLOW_CONN_TDEV_{name}": json.dumps(value) for name, value in connections.items()}
        return {"TDEV_SETTINGS": str(self.settings_file), **named, **(self.second.environment if self.second else {})}

    def _start_parts(self, *, engine: bool) -> None:
        with ThreadPoolExecutor(max_workers=10) as pool:
            source = pool.submit(self._start_source)
            started: list[Future[Any]] = [pool.submit(self._start_aws), pool.submit(self._start_control)]
            started += [pool.submit(part.start) for part in (self.mail, self.names, self.tls)]
            story = tell_story(self.scale, self.now)
            started.append(pool.submit(self._start_objects, story))
            source.result()
            started.append(pool.submit(self.api.start))  # now, because the source's port and roles stand only now
            with self.database() as database:
                load_database(database, story, owner="t_developer")
            for each in started:
                each.result()
        self._write_settings()
        if engine:
            self.engine.start()

    def _start_source(self) -> None:
        self.source.start()
        self.source.create_role("t_developer")
        self.source.create_database("t_developer", owner="t_developer")
        # The product's role: it may look at everything and change nothing.
        self.source.create_role("maintenance", member_of=("pg_monitor", "pg_read_all_data"))
        with self.database() as database:
            database.execute("GRANT CONNECT ON DATABASE t_developer TO maintenance")
        # Who cares for the tables is a member of their owner; no superuser, as on a managed server.
        self.source.create_role("dba", member_of=("t_developer", "pg_monitor", "pg_read_all_data", "pg_maintain"))
        with self.database() as database:
            for grant in TUNING_GRANTS:
                database.execute(grant)

    def _start_control(self) -> None:
        self.control.start()
        for name in ("ledger", "airflow"):
            self.control.create_role(name)
            self.control.create_database(name, owner=name)

    def _start_objects(self, story: Story) -> None:
        write_buckets(self.objects.folder, story)
        write_releases(self.objects.folder)
        write_database(self._scanners)
        write_logs(self.logs, story)
        self.objects.start()

    def _start_aws(self) -> None:
        self.web_hooks.start()  # first: the topic's subscriber is told that it subscribes
        self.aws.start()

    def _write_settings(self) -> None:
        differences = {
            "hosts": [
                {"name": "sandbox", "reach": "local", "disks": [str(self.home)], "services": list(self.services)}
            ],
            "recovery": {
                "database_host": "sandbox",
                "drain_seconds": 2,
                "service_stop": self.unit_commands.command("stop"),
                "service_start": self.unit_commands.command("start"),
                "service_alive": self.unit_commands.command("is-active"),
                "people": [{"username": name, "auth_id": name} for name in LEADS],
            },
            "evolution": {
                "recovery": {
                    "service_status": self.unit_commands.command("status"),
                    "tables": ["evolution_history", "fitness_tracking", "gene_pool", "agents", "evolution_state"],
                    "generation_wait_seconds": max(20.0, 3 * self.engine.interval_seconds),
                },
            },
            # A sandbox is a small part of its machine, whose kernel is not ours: nothing of it is told to drop caches.
            "memory_relief": {
                "service_pid": self.unit_commands.command("main-pid"),
                "service_percent": 0.01,
                "flush": ["true"],
                "drop": ["true"],
                "settle_seconds": 1,
            },
            "drill": {
                "application": {
                    "argv": [sys.executable, "-m", "sandbox.api"],
                    "environment": {
                        "PGUSER": "t_developer",
                        "PYTHONPATH": str(REPOSITORY),
                        "SANDBOX_BIND": LOOPBACK,
                        "SANDBOX_LOGS": "{folder}",
                        "SANDBOX_PORT": "{port}",
                        "SANDBOX_TOKEN": "{token}",
                    },
                },
            },
            "tuning": {
                "database": {"shared_buffers": "160MB"},  # it has PostgreSQL's 128MB
                "database_service": DATABASE_SERVICE,
                "data_directory": str(self.source.data),
                "service_restart": self.unit_commands.command("restart"),
                "trial": [str(self.source.binaries / "postgres"), "-C", "{name}", "-D", "{data}"],
                "restart_seconds": 30,
            },
            "security": {
                "cache_folder": str(self._scanners),
                "audit": {"secret_folders": [str(self.logs)]},
                "targets": [
                    {"name": "t-developer", "kind": "image", "archive": f"s3://{RELEASES_BUCKET}/{IMAGE}"},
                    {"name": "t-developer source", "kind": "source", "archive": f"s3://{RELEASES_BUCKET}/{SOURCE}"},
                ],
            },
            "certificates": {
                "acm": True,
                "managed": [
                    {
                        "name": name,
                        "port": self.tls.port,
                        "renewal": "itself",
                        "host": "sandbox",
                        "file": str(self.tls.file_of(name)),
                    }
                    for name in PUBLIC_NAMES
                ],
            },
            "public_names": [{"name": name, "port": self.tls.port} for name in PUBLIC_NAMES],
            "dns": {"resolver": f"{self.names.host}:{self.names.port}"},
            "tls": {"ca_file": str(self.tls.ca_file)},
            "logs": {"directory": str(self.logs)},
            "alerts": {
                "channels": ["mail", "slack"],
                "heartbeat_url": self.web_hooks.heartbeat_url,
                "mail": {
                    "sender": "maintenance@t-developer.com",
                    "recipients": [OPERATORS_ADDRESS],
                    "report_readers": [READERS_ADDRESS],
                },
                "sns": {"topic_arn": self.aws.topic_arn},
            },
        }
        write_settings(self.settings_file, differences)


def _postgres_connection(cluster: Cluster, dbname: str, user: str) -> dict[str, Any]:
    info = cluster.conninfo(dbname, user=user)
    return {
        "conn_type": "postgres",
        "host": info["host"],
        "port": info["port"],
        "login": user,
        "password": info["password"],
        "schema": dbname,
    }
