"""A database on Debian's PostgreSQL, which can measure and check indexes."""

import psycopg
import pytest

from tdev_operators.hooks.postgres_sessions import PostgresSource
from tests.records import facts_of


@pytest.fixture
def modern(modern_database):
    """Somebody else's session there, in autocommit, with both extensions."""
    with psycopg.connect(**modern_database, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pgstattuple; CREATE EXTENSION amcheck")
        yield connection


@pytest.fixture
def modern_source(modern_database):
    """The product's way into it."""
    return PostgresSource(facts_of(modern_database))


@pytest.fixture
def thin():
    """Return a maker of a table with one index of which nine tenths are empty, and one that is dense."""

    def make(sql, name="t", rows=60_000, schema="public"):
        where = f'"{schema}"."{name}"'
        sql.execute(f"CREATE TABLE {where} (id int, n int, x text) WITH (autovacuum_enabled = off)")
        sql.execute(f"INSERT INTO {where} SELECT i, i, 'x' FROM generate_series(1, {rows}) AS i")
        sql.execute(f'CREATE INDEX "{name}_thin" ON {where} (id)')
        sql.execute(f"DELETE FROM {where} WHERE id % 10 <> 0")
        sql.execute(f"VACUUM (ANALYZE) {where}")
        sql.execute(f'CREATE INDEX "{name}_dense" ON {where} (n)')

    return make
