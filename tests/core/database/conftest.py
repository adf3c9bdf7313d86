"""A real database that is cared for: as a member of its owner does, and as everybody else uses it."""

import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
import pytest

from sandbox.postgres import Cluster
from sandbox.processes import Supervisor
from sandbox.second_side import Standby
from tdev_operators.core.settings import Settings, load_settings
from tdev_operators.hooks.postgres_sessions import PostgresSource
from tests.debian import postgres_of_debian
from tests.records import facts_of
from tests.small_disks import SmallDisk

_MB = 1024**2


@pytest.fixture
def source(database: dict[str, Any]) -> PostgresSource:
    """The product's way into the fresh database, as superuser."""
    return PostgresSource(facts_of(database))


@pytest.fixture
def sql(database: dict[str, Any]) -> Iterator[psycopg.Connection]:
    """Somebody else's session in the same database, in autocommit."""
    with psycopg.connect(**database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def elsewhere(database: dict[str, Any]) -> Iterator[Callable[[], psycopg.Connection]]:
    """Return a maker of further sessions, in autocommit; all are closed after the test."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(psycopg.connect(**database, autocommit=True))


@pytest.fixture
def modern_database(debian: Cluster) -> Iterator[dict[str, Any]]:
    """Return the conninfo of a fresh database on Debian's PostgreSQL, which has contrib."""
    name = f"test_{secrets.token_hex(6)}"
    debian.create_database(name)
    yield debian.conninfo(name)
    debian.drop_database(name)


@pytest.fixture
def changed() -> Callable[..., Settings]:
    """Return a maker of the shipped settings with some figures changed: `changed(care={"workers": 1})`."""

    def change(**sections: Mapping[str, Any]) -> Settings:
        data = load_settings().model_dump()
        for section, values in sections.items():
            data[section] = merged(data[section], values)
        return Settings.model_validate(data)

    return change


def merged(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table with some keys replaced, tables inside it key by key."""
    both = {key: merged(base[key], value) for key, value in values.items() if isinstance(value, Mapping)}
    return {**base, **values, **both}


class Ground:
    """A server of which a test may take the disk, the standby, or the life; and a database of the test's own in it."""

    def __init__(self, supervisor: Supervisor) -> None:
        """Put it on a small disk of its own."""
        self.disk = SmallDisk(supervisor, "ground", 200 * _MB)
        settings = {
            "synchronous_commit": "on",
            "max_prepared_transactions": "5",
            "autovacuum": "off",
            # Its log lies in small files of which none is used again: it grows until the disk is full.
            "max_wal_size": "4GB",
            "min_wal_size": "2MB",
            "wal_recycle": "off",
            "checkpoint_timeout": "1h",
            # What workers share would lie on this disk, too.
            "max_parallel_maintenance_workers": "0",
        }
        self.cluster = Cluster(supervisor, "ground", settings=settings)
        self.cluster.binaries = postgres_of_debian()
        self.cluster.initdb_options = ("--wal-segsize=1",)
        self.cluster.folder = self.disk.folder / "server"
        self.cluster.data = self.cluster.folder / "data"
        self.cluster.start()
        self.name = ""
        self._opened: list[psycopg.Connection] = []

    def fill_disk_and_log(self, leave: int) -> None:
        """Let so many bytes of log be left until it needs a new file, for which the disk has no room."""
        with self.connect() as sql:
            [at] = sql.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone() or [0]
            # The records have heads of their own, so that the last bytes are approached.
            rest = (-int(at) - leave) % _MB
            sql.execute("SELECT pg_logical_emit_message(false, 'x', repeat('x', %s))", [rest])
        self.disk.fill(leave=_MB // 2)

    def lives(self) -> None:
        """Wait until the server lets us in; start it where it has given up."""
        deadline = time.monotonic() + 10
        while self.cluster.running and time.monotonic() < deadline:
            try:
                self.connect().close()
            except psycopg.OperationalError:
                time.sleep(0.02)
            else:
                return
        self.cluster.stop()
        self.cluster.start()

    def connect(self) -> psycopg.Connection:
        """Somebody else's session in the database, in autocommit; it is closed after the test."""
        self._opened.append(connection := self.cluster.connect(self.name))
        return connection

    def as_new(self) -> None:
        """Forget the test: what it filled, opened, and killed."""
        self.disk.clear()
        self.lives()
        while self._opened:
            self._opened.pop().close()
        self.cluster.drop_database(self.name)

    @property
    def source(self) -> PostgresSource:
        """The product's way into the database."""
        return PostgresSource(facts_of(self.cluster.conninfo(self.name)))

    @contextmanager
    def standby(self) -> Iterator[Cluster]:
        """Let a standby follow while the block runs; it has replayed everything before."""
        standby = Standby(self.cluster, "ground-standby", self.cluster.port)
        standby.binaries = self.cluster.binaries
        standby.start()
        try:
            self.caught_up()
            yield standby
        finally:
            standby.kill()
            shutil.rmtree(standby.folder)

    def caught_up(self) -> None:
        """Wait until a standby has replayed what was written so far."""
        with self.connect() as sql:
            [here] = sql.execute("SELECT pg_current_wal_flush_lsn()").fetchone() or [None]
            query = "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn >= %s"
            deadline = time.monotonic() + 20
            while not sql.execute(query, [here]).fetchone():
                assert time.monotonic() < deadline
                time.sleep(0.02)


@pytest.fixture(scope="session")
def _ground(supervisor: Supervisor) -> Iterator[Ground]:
    ground = Ground(supervisor)
    yield ground
    ground.cluster.stop()
    ground.disk.close()


@pytest.fixture
def ground(_ground: Ground) -> Iterator[Ground]:
    """Return the server that a test may harm; afterwards it is up, and its disk nobody's."""
    _ground.name = f"test_{secrets.token_hex(6)}"
    _ground.cluster.create_database(_ground.name)
    yield _ground
    _ground.as_new()
