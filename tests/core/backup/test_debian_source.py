"""A source with what the embedded PostgreSQL lacks: another major version, contrib, ICU collations, libxml."""

from pathlib import Path

import psycopg
import pytest

from tdev_operators.core.backup.database.catalogue import pin, read_catalogue
from tdev_operators.core.backup.manifest import State
from tdev_operators.core.backup.readiness import provability
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.postgres_sessions import PostgresSource
from tests.core.backup.whole_sets import verdicts

pytestmark = [pytest.mark.xdist_group("whole-sets"), pytest.mark.timeout(120)]

MODERN = """
    CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION pgcrypto;
    CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    CREATE TABLE agents (name text, version text);
    CREATE TABLE odd (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(), mail citext, labels hstore, word text COLLATE folded, page xml
    );
    INSERT INTO odd (mail, labels, word, page)
    SELECT 'User' || i || '@Example.com', hstore('n', i::text), CASE WHEN i % 2 = 0 THEN 'Straße' ELSE 'STRASSE' END,
        xmlparse(content '<p>' || i || '</p>')
    FROM generate_series(1, 500) AS i;
    CREATE INDEX ON odd (mail);
"""


@pytest.fixture
def modern(debian):
    debian.create_database("modern")
    with debian.connect("modern") as connection:
        connection.execute(MODERN)
    info = debian.conninfo("modern")
    facts = ConnectionFacts(
        "tdev_postgres", "postgres", info["host"], info["port"], info["user"], info["password"], info["dbname"]
    )
    yield PostgresSource(facts)
    debian.drop_database("modern")


def test_it_is_taken_and_proven_with_debians_programs(house, modern):
    house.changes = {"client_tools": "/usr/lib/postgresql/{major}/bin"}
    ports = {"maintained": lambda _name: modern}
    taken = house.take(ports=ports)
    found = verdicts(taken.results)
    assert found["backup.provable_modern"] == "OK"
    assert taken.manifest.databases[0].name == "modern"
    if not Path("/usr/lib/postgresql/18/bin").exists():
        assert found["backup.ledger"] == "UNKNOWN", "its server is of a version whose programs are not installed"
    verified = house.verify(ports)
    assert verdicts(verified.results)["backup.proven"] == "OK"
    assert house.states() == [State.PROVEN]


@pytest.mark.faults
def test_a_value_that_differs_in_case_only_is_another_one(house, modern, debian):
    house.changes = {"client_tools": "/usr/lib/postgresql/{major}/bin"}
    ports = {"maintained": lambda _name: modern}
    first = house.take("one", ports=ports).manifest.databases[0]
    with psycopg.connect(**debian.conninfo("modern"), autocommit=True) as connection:
        connection.execute("UPDATE odd SET mail = upper(mail::text)")
    second = house.take("two", ports=ports).manifest.databases[0]
    assert first.rows == second.rows
    assert first.proof.sha256 != second.proof.sha256


@pytest.mark.faults
def test_what_the_embedded_server_cannot_prove_is_said_at_once(house, modern):
    with house.ports() as ports, modern.session() as session:
        pin(session)
        (result,) = provability([("modern", read_catalogue(session))], ports.scratch)
    assert result.verdict.value == "UNKNOWN"
    assert "PostgreSQL 16 and 18" in result.summary or "unprovable: needs citext" in result.summary
