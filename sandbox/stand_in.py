"""The stand-in T-Developer over a PostgreSQL and an S3 server that others run: what docker-compose.yaml starts.

`python -m sandbox.stand_in seed` makes roles, databases, rows, objects and logs, once; `serve` runs API, engine and
TLS ends until it is stopped. Everything comes from the environment (docker-compose.yaml names the variables).
"""

import os
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from sandbox.api import Api
from sandbox.engine import Engine
from sandbox.processes import Supervisor, end_on_signals
from sandbox.scales import SCALES, ScaleName
from sandbox.seed import load_database, tell_story
from sandbox.seed_files import write_buckets, write_logs
from sandbox.system import PUBLIC_NAMES
from sandbox.tls import TlsEnds

_SCALE: ScaleName = "full"
_ENGINE_INTERVAL_SECONDS = 60.0
# database -> (owner, the variable with the owner's password)
_DATABASES = {
    "airflow": ("airflow", "AIRFLOW_DATABASE_PASSWORD"),
    "ledger": ("ledger", "TDEV_LEDGER_PASSWORD"),
    "t_developer": ("t_developer", "TDEV_APPLICATION_PASSWORD"),
}


@dataclass(frozen=True, slots=True)
class _Database:
    """The PostgreSQL server of somebody else; superuser by libpq's PG... variables."""

    def conninfo(self, dbname: str, *, user: str) -> dict[str, Any]:
        password = os.environ[_DATABASES[dbname][1]]
        host, port = os.environ["PGHOST"], int(os.environ.get("PGPORT", "5432"))
        return {"host": host, "port": port, "dbname": dbname, "user": user, "password": password}


@dataclass(frozen=True, slots=True)
class _Objects:
    """The S3 server of somebody else."""

    endpoint_url: str
    access_key: str
    secret_key: str


def seed() -> None:
    """Make everything that is not there yet."""
    with psycopg.connect(dbname="postgres", autocommit=True) as server:
        _ensure_role(server, "maintenance", os.environ["TDEV_MAINTENANCE_PASSWORD"])
        for name, (owner, variable) in _DATABASES.items():
            _ensure_role(server, owner, os.environ[variable])
            if not server.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
                server.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(owner))
                )
        server.execute("GRANT pg_monitor, pg_read_all_data TO maintenance")
        server.execute("GRANT CONNECT ON DATABASE t_developer TO maintenance")
    with psycopg.connect(dbname="t_developer", autocommit=True) as database:
        if database.execute("SELECT to_regclass('agents')").fetchone() != (None,):
            return
        story = tell_story(SCALES[_SCALE], datetime.now(UTC))
        write_buckets(Path(os.environ["SANDBOX_OBJECTS"]), story)
        write_logs(Path(os.environ["SANDBOX_LOGS"]), story)
        load_database(database, story, owner="t_developer")


def serve() -> None:
    """Run API, engine and TLS ends at the ports 8000 and 8443 until a signal comes."""
    end_on_signals()
    logs = Path(os.environ["SANDBOX_LOGS"])
    database: Any = _Database()
    objects: Any = _Objects(
        os.environ["SANDBOX_S3_URL"], os.environ["TDEV_S3_ACCESS_KEY"], os.environ["TDEV_S3_SECRET_KEY"]
    )
    with Supervisor() as supervisor:
        api = Api(supervisor, database, logs)
        api.port, api.token = int(os.environ.get("SANDBOX_API_PORT", "8000")), os.environ["TDEV_API_TOKEN"]
        tls = TlsEnds(supervisor, PUBLIC_NAMES)
        tls.port = int(os.environ.get("SANDBOX_TLS_PORT", "8443"))
        Path(os.environ["SANDBOX_CA_FILE"]).write_bytes(tls.ca_file.read_bytes())
        engine = Engine(
            supervisor,
            database,
            objects,
            logs,
            interval_seconds=_ENGINE_INTERVAL_SECONDS,
            evaluations=SCALES[_SCALE].evaluations,
        )
        for part in (api, tls, engine):
            part.start()
        print("T-Developer's stand-in is up.", flush=True)
        while True:
            time.sleep(3_600)


def _ensure_role(server: psycopg.Connection, name: str, password: str) -> None:
    known = server.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone()
    verb = sql.SQL("ALTER" if known else "CREATE")
    server.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, sql.Identifier(name), password))


if __name__ == "__main__":
    {"seed": seed, "serve": serve}[sys.argv[1]]()
