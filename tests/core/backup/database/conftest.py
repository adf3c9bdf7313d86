"""A database, a store and settings as the dump takes them."""

import json
import os
import secrets
import subprocess
import tomllib
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest

from sandbox.postgres import Cluster
from tdev_operators.core.backup.settings import BackupSettings
from tdev_operators.core.sql import include_dir
from tdev_operators.hooks.backup_store import S3BackupStore
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.postgres_sessions import PostgresSource


def source_of(conninfo):
    return PostgresSource(
        ConnectionFacts(
            "tdev_postgres",
            "postgres",
            host=conninfo["host"],
            port=conninfo["port"],
            login=conninfo["user"],
            password=conninfo["password"],
        ),
        conninfo["dbname"],
    )


@contextmanager
def exported(conninfo):
    with psycopg.connect(**conninfo) as holder:
        holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield holder.execute("SELECT pg_export_snapshot()").fetchone()[0]


def store_at(endpoint_url, s3_server, **options):
    extra = {"region_name": "us-east-1", "endpoint_url": endpoint_url}
    facts = ConnectionFacts("tdev_aws", "aws", login=s3_server.access_key, password=s3_server.secret_key, extra=extra)
    return S3BackupStore(facts, **options)


@pytest.fixture
def store(s3_server):
    with store_at(s3_server.endpoint_url, s3_server, patience_seconds=2) as opened:
        yield opened


@pytest.fixture
def s3_port(s3_server):
    return urlsplit(s3_server.endpoint_url).port


@pytest.fixture
def settings():
    with (include_dir() / "tdev.toml").open("rb") as file:
        return BackupSettings.model_validate_json(json.dumps(tomllib.load(file)["backup"]))


@pytest.fixture
def sql(database):
    def run(*statements):
        with psycopg.connect(**database, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    return run


@pytest.fixture
def helpers():
    class Helpers:
        source_of = staticmethod(source_of)
        exported = staticmethod(exported)
        store_at = staticmethod(store_at)

    return Helpers


@pytest.fixture(scope="session")
def cluster_16(supervisor):
    """A running PostgreSQL 16."""
    cluster = Cluster(supervisor, "dump-cluster-16", version=16).start()
    yield cluster
    cluster.stop()


@pytest.fixture
def make_source():
    """Make the source of a conninfo (keywords for `psycopg.connect`)."""
    return source_of


@pytest.fixture
def source(database):
    """The fresh empty database as a source."""
    return source_of(database)


@pytest.fixture
def admin(database):
    """A superuser's connection to the fresh database, in autocommit."""
    with psycopg.connect(**database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def copied():
    """Dump a cluster's database, restore it into a new one there, and return the new one's name."""
    made = []

    def copy(cluster, name):
        target = f"copy_{secrets.token_hex(6)}"
        cluster.create_database(target)
        made.append((cluster, target))
        known = cluster.conninfo(target)
        login = {"PGHOST": known["host"], "PGPORT": str(known["port"]), "PGUSER": "postgres"}
        env = {**os.environ, **login, "PGPASSWORD": known["password"]}
        dump = [cluster.binaries / "pg_dump", "-Fc", "-Z0", "-d", name]
        dumped = subprocess.run(dump, capture_output=True, check=True, env=env)
        restore = [cluster.binaries / "pg_restore", "-d", target]
        restored = subprocess.run(restore, input=dumped.stdout, capture_output=True, check=False, env=env)
        assert restored.returncode == 0, restored.stderr.decode()
        return target

    yield copy
    for cluster, name in made:
        cluster.drop_database(name)
