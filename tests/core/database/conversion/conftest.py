"""A table that is converted while it is written to, and the runs that do it, each under an id of its own."""

import itertools
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from tdev_operators.core.database.conversion.names import Names
from tdev_operators.core.database.conversion.request import ConversionRequest
from tdev_operators.core.database.conversion.run import carry_out, look
from tdev_operators.core.database.conversion.state import read_state
from tdev_operators.core.database.ports import CarePorts
from tdev_operators.core.database.retention.settings import PartitionRule
from tdev_operators.core.errors import BusyError
from tests.backup_sets import open_store
from tests.core.database.retention.conftest import INDEX, METRICS, ROWS, RULE, World

_RUNS = itertools.count(1)
SUNDAY = datetime(2026, 11, 29, 3, 0, tzinfo=UTC)  # inside the maintenance window
PARTITIONS = PartitionRule(
    by="importance",
    values=("low", "normal", "high"),
    step="month",
    ahead_days=21,
    keep_days=14,
    room_percent=130.0,
    unwatched_gb=20.0,
)
WEEKS = PARTITIONS.model_copy(update={"step": "week"})


def patiently(work, seconds=10):
    """Do it as soon as the session before, whose end the server has not noticed yet, has let go of its lock."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return work()
        except BusyError as error:
            if "is at work in the database" not in str(error) or time.monotonic() > deadline:
                raise


@dataclass
class Conversion(World):
    """A database, a bucket, and what the settings say about partitions."""

    clock: Any = lambda: SUNDAY
    hosts: Any = None
    database_host: str = ""

    @property
    def settings(self):
        settings = super().settings
        recovery = settings.recovery.model_copy(update={"database_host": self.database_host})
        return settings.model_copy(update={"recovery": recovery})

    @property
    def ports(self):
        system = SimpleNamespace(hosts=self.hosts or {})
        return CarePorts(
            system=system,  # type: ignore[arg-type]
            database=self.database,
            server=lambda _name: self.database,
            store=self.store,
            clock=self.clock,
        )

    def request(self, action="convert", **asked):
        return ConversionRequest(f"partition-test-{next(_RUNS)}", action=action, **asked)

    def carry_out(self, action="convert", *, ports=None, wait_seconds=10, **asked):
        def work():
            return carry_out(
                ports or self.ports,
                self.settings,
                self.request(action, **asked),
                journal=lambda *line: self.journal.append(line),
            )

        return patiently(work, wait_seconds)

    def look(self, action="convert", **asked):
        return patiently(lambda: look(self.ports, self.settings, self.request(action, **asked)))

    @property
    def phase(self):
        with self.database.session() as session:
            return read_state(session, Names.of(self.rule)).phase

    def catalogue(self):
        """Every relation, trigger, function and index there is, with its number."""
        return set(
            self.sql.execute(
                "SELECT 'relation', oid, relname::text, relkind::text FROM pg_class"
                " WHERE relnamespace::regnamespace::text !~ '^(pg_|information)'"
                " UNION SELECT 'function', oid, proname, '' FROM pg_proc"
                " WHERE pronamespace::regnamespace::text !~ '^(pg_|information)'"
                " UNION SELECT 'trigger', oid, tgname, '' FROM pg_trigger"
            ).fetchall()
        )

    @property
    def weekly(self):
        """The same, by weeks."""
        return self.with_(rule=self.rule.model_copy(update={"partitions": WEEKS}))

    def one(self, query, *values):
        return self.sql.execute(query, values or None).fetchone()[0]


def newest_of(world, parent):
    """Return the name of the last partition of a table."""
    tree = f"pg_partition_tree('{parent}')"
    return world.one(f"SELECT max(relid::text) FROM {tree} WHERE isleaf AND relid::text !~ 'rest'")


def drop_newest(world, parent):
    """Drop the last partition of a table, which was made ahead of time; return its name."""
    newest = newest_of(world, parent)
    world.sql.execute(f"DROP TABLE {newest}")
    return newest


@pytest.fixture
def world(source, sql, s3_server, bucket):
    """An empty database with a bucket."""
    with open_store(s3_server.endpoint_url, s3_server.access_key, s3_server.secret_key) as store:
        yield Conversion(source, store, bucket, sql, rule=RULE.model_copy(update={"partitions": PARTITIONS}))


@pytest.fixture
def metrics(world):
    """The table with its rows and an index on the time."""
    world.sql.execute(METRICS)
    world.sql.execute(INDEX)
    world.sql.execute(ROWS.format("metrics"))
    return world
