"""A table full of metrics, old and young, and the run that cleans it, under a run id of the test's own."""

import itertools
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
import pytest

from tdev_operators.core.backup.ports import BackupStore, SourceDatabase
from tdev_operators.core.database.ports import CarePorts
from tdev_operators.core.database.retention.receipt import RECEIPT, Folder
from tdev_operators.core.database.retention.restore import GiveBack, give_back
from tdev_operators.core.database.retention.run import Request, clean
from tdev_operators.core.database.retention.settings import RetentionException, RetentionRule
from tdev_operators.core.settings import Settings, load_settings
from tdev_operators.core.sql import include_dir
from tdev_operators.core.verdicts import CheckResult
from tests.backup_sets import open_store

_RUNS = itertools.count(1)

RULE = RetentionRule(
    table="metrics",
    time_column="timestamp",
    days=30,
    archive=False,
    exceptions=(RetentionException(column="importance", value="high", days=90, archive=True),),
)
METRICS = """
    CREATE TABLE metrics (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name varchar(120) NOT NULL,
        value double precision NOT NULL,
        importance varchar(10) NOT NULL DEFAULT 'normal' CHECK (importance IN ('low', 'normal', 'high')),
        labels jsonb NOT NULL DEFAULT '{}',
        timestamp timestamptz NOT NULL DEFAULT now()
    );
"""
INDEX = "CREATE INDEX metrics_timestamp_idx ON metrics (timestamp)"
# 1,200 rows over 120 days, ten a day; every tenth is important. 900 are older than 30 days, 30 important ones than 90.
ROWS = """
    INSERT INTO {} (name, value, importance, labels, timestamp)
    SELECT 'cpu', n * 0.1, CASE WHEN n % 10 = 0 THEN 'high' ELSE 'normal' END, jsonb_build_object('n', n),
        now() - make_interval(hours => 12, days => n / 10)
    FROM generate_series(0, 1199) AS n
"""


@dataclass
class World:
    """A database with old rows, a bucket, and what the settings say about them."""

    database: SourceDatabase
    store: BackupStore
    bucket: str
    sql: psycopg.Connection
    rule: RetentionRule = RULE
    changes: dict[str, Any] = field(default_factory=dict)
    pace: dict[str, Any] = field(default_factory=dict)
    run_id: str = ""
    journal: list[tuple[str, Any]] = field(default_factory=list)

    def __post_init__(self):
        self.run_id = self.run_id or f"retention-test-{next(_RUNS)}"

    @property
    def settings(self) -> Settings:
        shipped = load_settings(include_dir() / "tdev.toml")
        quick = {"rest_percent": 0.0, "copy_rest_percent": 0.0, **self.pace}
        retention = shipped.retention.model_copy(
            update={
                "rules": (self.rule,),
                "pace": shipped.retention.pace.model_copy(update=quick),
                "lock_timeout_ms": 50,
                "tries": 2,
                **self.changes,
            }
        )
        buckets = shipped.buckets.model_copy(update={"backups": self.bucket})
        return shipped.model_copy(update={"retention": retention, "buckets": buckets})

    @property
    def ports(self) -> CarePorts:
        return CarePorts(system=None, database=self.database, server=lambda _name: self.database, store=self.store)  # type: ignore[arg-type]

    @property
    def folder(self) -> Folder:
        return Folder.of(self.store, self.bucket, "t-developer", "archive", self.run_id, self.rule.name)

    @property
    def receipt(self) -> dict[str, Any]:
        return self.folder.read(RECEIPT) or {}

    @property
    def counts(self) -> dict[str, int]:
        return self.receipt["counts"]

    def clean(self, *, ports=None, **asked) -> dict[str, CheckResult]:
        request = Request(self.run_id, **asked)
        results = clean(ports or self.ports, self.settings, request, journal=lambda *line: self.journal.append(line))
        return {result.check: result for result in results}

    def give_back(self, **asked) -> CheckResult:
        return give_back(self.ports, self.settings, GiveBack(self.run_id, **asked), journal=lambda *_: None)

    def with_(self, **changes) -> "World":
        return replace(self, **changes)

    def rows(self, table="metrics") -> dict[str, str]:
        """Every row as text, by its id."""
        return dict(self.sql.execute(f"SELECT id::text, t::text FROM {table} AS t").fetchall())

    def count(self, where="true", table="metrics") -> int:
        return self.sql.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()[0]


@pytest.fixture
def world(source, sql, s3_server, bucket):
    """An empty database with a bucket."""
    with open_store(s3_server.endpoint_url, s3_server.access_key, s3_server.secret_key) as store:
        yield World(source, store, bucket, sql)


@pytest.fixture
def metrics(world):
    """The table with its rows and an index on the time."""
    world.sql.execute(METRICS)
    world.sql.execute(INDEX)
    world.sql.execute(ROWS.format("metrics"))
    return world
