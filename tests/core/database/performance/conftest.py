"""Servers that are analysed: the embedded 18 and 16, and Debian's with pg_stat_statements; a system around them."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
import pytest

from sandbox.postgres import Cluster
from tdev_operators.core.database.performance.analysis import analyse
from tdev_operators.core.ports import ObjectInfo, SystemPorts, utc_now
from tdev_operators.core.settings import HostSettings
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.hosts.local import LocalHost
from tdev_operators.hooks.postgres import PostgresDatabase
from tests.analysed import MemoryLedger, shipped
from tests.debian import postgres_of_debian
from tests.records import NOON

# The rights that docs/privileges.md asks for, and no more.
LOOKER = "analysis_looker"


class Listing:
    """An object store whose buckets hold three objects of 1,000 bytes each."""

    def list(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        for number in range(3):
            yield ObjectInfo(f"{prefix}{number}", 1000, "e", NOON)


@dataclass
class Analysed:
    """A database that is analysed day after day, as the role that only reads."""

    cluster: Cluster
    dbname: str
    system: SystemPorts
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    now: datetime = field(default_factory=utc_now)
    limits: dict[str, Any] = field(default_factory=dict)
    out_of_scope: tuple[Any, ...] = ()

    def run(self, *statements: str) -> None:
        with psycopg.connect(**self.cluster.conninfo(self.dbname), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    @property
    def settings(self) -> Any:
        settings = shipped(
            self.out_of_scope,
            performance=self.limits,
            recovery={"database_host": "here"},
        )
        return settings.model_copy(update={"hosts": (HostSettings(name="here", reach="local", disks=("/",)),)})

    def analyse(self) -> dict[str, Any]:
        """Analyse as of now, and return the results by name."""
        outcome = analyse(self.system, self.ledger, self.settings, progress=lambda _line: None)
        return {result.check: result for result in outcome.results}


@pytest.fixture
def analysed_on() -> Iterator[Callable[[Cluster], Analysed]]:
    """Make a fresh database on a cluster, and the system around it."""
    made: list[tuple[Cluster, str]] = []

    def make(cluster: Cluster) -> Analysed:
        name = f"app_{secrets.token_hex(6)}"
        cluster.create_database(name)
        made.append((cluster, name))
        with cluster.connect() as connection:
            there = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (LOOKER,)).fetchone()
        if there is None:
            cluster.create_role(LOOKER, member_of=("pg_monitor", "pg_read_all_data"))
        with cluster.connect() as connection:
            connection.execute(f"GRANT CONNECT ON DATABASE {name} TO {LOOKER}")  # type: ignore[arg-type]
        info = cluster.conninfo(name, user=LOOKER)
        facts = ConnectionFacts(
            "tdev_postgres", "postgres", info["host"], info["port"], info["user"], info["password"], name
        )
        analysed: Analysed

        system = SystemPorts(
            database=PostgresDatabase(facts),
            objects=Listing(),  # type: ignore[arg-type]
            api=None,  # type: ignore[arg-type]
            tls=None,  # type: ignore[arg-type]
            resolver=None,  # type: ignore[arg-type]
            credentials=None,  # type: ignore[arg-type]
            hosts={"here": LocalHost("here")},
            clock=lambda: analysed.now,
        )
        analysed = Analysed(cluster, name, system)
        return analysed

    yield make
    for cluster, name in made:
        cluster.drop_database(name)


@pytest.fixture(scope="session")
def with_statements(supervisor: Any) -> Iterator[Cluster]:
    """Return a running PostgreSQL of Debian's, which records statements."""
    programs = postgres_of_debian()
    cluster = Cluster(supervisor, "test-statements", settings={"shared_preload_libraries": "pg_stat_statements"})
    cluster.binaries = programs
    yield cluster.start()
    cluster.stop()


@pytest.fixture(scope="session")
def analysed_16(supervisor: Any) -> Iterator[Cluster]:
    """Return a running PostgreSQL 16, whose views are the old ones."""
    cluster = Cluster(supervisor, "test-analysed-16", version=16).start()
    yield cluster
    cluster.stop()


@pytest.fixture
def recorded(with_statements: Cluster, analysed_on: Callable[[Cluster], Analysed]) -> Analysed:
    """A fresh database with pg_stat_statements, in a schema of its own."""
    analysed = analysed_on(with_statements)
    analysed.run('CREATE SCHEMA "odd schema"', 'CREATE EXTENSION pg_stat_statements SCHEMA "odd schema"')
    return analysed
