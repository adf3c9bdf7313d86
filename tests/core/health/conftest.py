"""Fakes of the ports, settings that a test may change, and databases that are looked at with few rights."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sandbox.postgres import Cluster
from sandbox.processes import Supervisor
from tdev_operators.core.errors import InputError
from tdev_operators.core.ports import BucketExposure, CommandOutput, HttpAnswer, ObjectInfo, SystemPorts
from tdev_operators.core.settings import Settings, load_settings
from tdev_operators.core.sql import include_dir
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.postgres import PostgresDatabase

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Unused:
    """A port that a check must not touch."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the check used a port that it does not need: {name}")


@dataclass
class FakeHost:
    """Answers commands by the words they hold; an exception is raised."""

    answers: Mapping[str, Any]
    name: str = "t-developer-1"

    def run(self, argv: Sequence[str], *, timeout_seconds: float = 30.0, stdin: str = "") -> CommandOutput:
        line = " ".join(argv)
        for words, answer in self.answers.items():
            if words in line:
                if isinstance(answer, Exception):
                    raise answer
                return answer if isinstance(answer, CommandOutput) else CommandOutput(0, answer, "")
        raise AssertionError(f"unexpected command: {line}")


@dataclass
class FakeObjects:
    """Buckets in memory."""

    buckets: dict[str, dict[str, bytes]] = field(default_factory=dict)
    exposures: dict[str, Any] = field(default_factory=dict)
    time: Any = NOW
    error: Exception | None = None

    def list(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        if self.error:
            raise self.error
        if bucket not in self.buckets:
            raise InputError(f"There is no bucket {bucket}.")
        for key, body in sorted(self.buckets[bucket].items()):
            yield ObjectInfo(key, len(body), "", NOW)

    def read(self, bucket: str, key: str, *, max_bytes: int) -> bytes:
        return self.buckets[bucket][key]

    def exposure(self, bucket: str) -> BucketExposure:
        exposure = self.exposures[bucket]
        if isinstance(exposure, Exception):
            raise exposure
        return exposure

    def server_time(self) -> datetime:
        if isinstance(self.time, Exception):
            raise self.time
        return self.time() if callable(self.time) else self.time


@dataclass
class FakeApi:
    """Answers paths; `strangers` are the answers without a token, `forgers` with a wrong one."""

    answers: dict[str, Any]
    strangers: dict[str, Any] = field(default_factory=dict)
    forgers: dict[str, Any] = field(default_factory=dict)
    name: str = "http://api.test"

    def get(self, path: str, *, authorised: bool = True, forged_token: str = "") -> HttpAnswer:
        strangers = {**self.strangers, **self.forgers} if forged_token else self.strangers
        answer = (self.answers if authorised else strangers)[path]
        answer = answer() if callable(answer) else answer
        if isinstance(answer, Exception):
            raise answer
        return answer


@dataclass
class FakeDatabase:
    """Answers every statement alike."""

    answer: Any
    name: str = "t_developer"

    def rows(self, statement: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        answer = self.answer(statement) if callable(self.answer) else self.answer
        if isinstance(answer, Exception):
            raise answer
        return answer


def http_answer(data: Any, *, status: int = 200, seconds: float = 0.01) -> HttpAnswer:
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    return HttpAnswer(status, body, "application/json", seconds)


@pytest.fixture
def fakes() -> Any:
    """Return the fakes by name."""

    class Fakes:
        Host, Objects, Api, Database, Unused = FakeHost, FakeObjects, FakeApi, FakeDatabase, Unused
        answer = staticmethod(http_answer)
        now = NOW

    return Fakes


@pytest.fixture
def ports() -> Callable[..., SystemPorts]:
    """Return a maker of the system's ports in which everything that is not given must not be touched."""

    def make(**given: Any) -> SystemPorts:
        names = [entry.name for entry in dataclasses.fields(SystemPorts)]
        everything: dict[str, Any] = {name: Unused() for name in names}
        return SystemPorts(**{**everything, "hosts": {}, "clock": lambda: NOW, "forget_outages": lambda: None, **given})

    return make


@pytest.fixture(scope="session")
def shipped() -> Settings:
    """Return the settings as shipped, but for counters that may be young: test clusters are."""
    return changed(load_settings(include_dir() / "tdev.toml"), {"health.database.minimum_statistics_age_hours": 0.0})


def changed(settings: Settings, values: Mapping[str, Any]) -> Settings:
    for path, value in values.items():
        settings = _with(settings, path.split("."), value)
    return settings


def _with(section: Any, path: list[str], value: Any) -> Any:
    new = value if len(path) == 1 else _with(getattr(section, path[0]), path[1:], value)
    return section.model_copy(update={path[0]: new})


@pytest.fixture
def change(shipped: Settings) -> Callable[[Mapping[str, Any]], Settings]:
    """Return a maker of settings that differ from the shipped ones: `change({"health.api.health_path": "/"})`."""
    return lambda values: changed(shipped, values)


@dataclass
class Arena:
    """A fresh database: `connect()` as superuser to arrange things, `look` with as few rights as the product has."""

    cluster: Cluster
    dbname: str
    look: PostgresDatabase
    blind: PostgresDatabase

    def connect(self, **keywords: Any) -> psycopg.Connection:
        return psycopg.connect(**self.cluster.conninfo(self.dbname), **{"autocommit": True, **keywords})

    def run(self, *statements: str) -> None:
        with self.connect() as connection:
            for statement in statements:
                connection.execute(statement)


@pytest.fixture(scope="session")
def cluster_16(supervisor: Supervisor) -> Iterator[Cluster]:
    """Return a running PostgreSQL 16 with the roles of the tests."""
    settings = {"max_prepared_transactions": "5", "archive_mode": "on", "archive_command": "true"}
    cluster = Cluster(supervisor, "test-cluster-16", version=16, settings=settings).start()
    _make_roles(cluster)
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def cluster_18(cluster: Cluster) -> Cluster:
    """Return the shared PostgreSQL 18 with the roles of the tests."""
    _make_roles(cluster)
    return cluster


def _make_roles(cluster: Cluster) -> None:
    cluster.create_role("health_looker", member_of=("pg_monitor", "pg_read_all_data"))
    cluster.create_role("health_blind")


def arena_on(cluster: Cluster, dbname: str) -> Arena:
    def database(user: str) -> PostgresDatabase:
        info = cluster.conninfo(dbname, user=user)
        facts = ConnectionFacts(
            "tdev_postgres",
            conn_type="postgres",
            host=info["host"],
            port=info["port"],
            login=user,
            password=info["password"],
            schema=dbname,
        )
        return PostgresDatabase(facts)

    return Arena(cluster, dbname, database("health_looker"), database("health_blind"))


@pytest.fixture
def arena(cluster_18: Cluster, database: dict[str, Any]) -> Arena:
    """Return a fresh database on PostgreSQL 18."""
    arena = arena_on(cluster_18, database["dbname"])
    arena.run(f"GRANT CONNECT ON DATABASE {arena.dbname} TO health_looker, health_blind")
    return arena


@pytest.fixture
def arena_16(cluster_16: Cluster, request: pytest.FixtureRequest) -> Iterator[Arena]:
    """Return a fresh database on PostgreSQL 16."""
    name = f"test_{abs(hash(request.node.nodeid)):x}"
    cluster_16.create_database(name)
    arena = arena_on(cluster_16, name)
    arena.run(f"GRANT CONNECT ON DATABASE {name} TO health_looker, health_blind")
    yield arena
    cluster_16.drop_database(name)


@pytest.fixture(scope="session")
def t_developer_schema() -> str:
    """Return the statements that make T-Developer's tables."""
    return (Path(__file__).resolve().parents[3] / "sandbox" / "schema.sql").read_text(encoding="utf-8")
