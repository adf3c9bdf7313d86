"""A database on Debian's PostgreSQL, which can measure and check indexes."""

from types import SimpleNamespace

import psycopg
import pytest

from tdev_operators.core.database.ports import CarePorts
from tdev_operators.hooks.ledger import PostgresLedger
from tdev_operators.hooks.ledger_schema import migrate
from tdev_operators.hooks.postgres_sessions import PostgresSource
from tests.core.database.care.figures import REF, SECTIONS
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


@pytest.fixture
def world(modern, modern_database, database, changed, thin):
    """The database of an application `app`, a DBA who is a member of it, and a ledger elsewhere."""
    name = modern_database["dbname"]
    modern.execute(
        "DO $$ BEGIN CREATE ROLE app; CREATE ROLE app_dba LOGIN PASSWORD 'dba'; "
        "EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    )
    modern.execute("GRANT app, pg_monitor, pg_read_all_data TO app_dba; GRANT ALL ON SCHEMA public TO app")
    modern.execute(f"GRANT CONNECT ON DATABASE {name} TO app, app_dba")
    modern.execute("GRANT EXECUTE ON FUNCTION bt_index_check(regclass, boolean) TO app_dba")
    modern.execute("SET ROLE app")
    thin(modern)
    modern.execute("RESET ROLE")
    ledger_facts = facts_of(database)
    migrate(ledger_facts)
    settings = changed(**SECTIONS)
    dba = PostgresSource(facts_of({**modern_database, "user": "app_dba", "password": "dba"}))
    system = SimpleNamespace(hosts={})
    ports = CarePorts(system=system, database=dba, server=None, store=None)
    return SimpleNamespace(ports=ports, settings=settings, ledger=PostgresLedger(ledger_facts), ref=REF, told=[])
