"""The record: equal after a dump and a restore, and every loss said in a sentence."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from sandbox.postgres import Cluster
from tdev_operators.core.backup.database.catalogue import pin, read_catalogue
from tdev_operators.core.backup.database.digests import TableDigest, table_query
from tdev_operators.core.backup.database.proof_record import ProofRecord, assembled, compare, read_schema, record
from tdev_operators.hooks.postgres_sessions import PostgresSource

SourceOf = Callable[..., PostgresSource]
Copied = Callable[[Cluster, str], str]

RICH = """
CREATE SCHEMA app; CREATE SCHEMA "Odd ""schema"" 100% für";
GRANT USAGE ON SCHEMA app TO proof_reader;
CREATE TYPE app.mood AS ENUM ('sad', 'glad');
CREATE DOMAIN app.positive AS int CHECK (VALUE > 0);
CREATE TYPE app.pair AS (a text, b app.mood);
CREATE TABLE app.people (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name varchar(20) NOT NULL CHECK (name IN ('ann', 'bob', '')),
    gone int,
    mood app.mood DEFAULT 'glad',
    size app.positive,
    couple app.pair,
    twice int GENERATED ALWAYS AS (size * 2) STORED,
    tags text[]
);
ALTER TABLE app.people DROP COLUMN gone;
INSERT INTO app.people (name, size, couple, tags) VALUES
('ann', 3, ('x', 'sad'), '[0:1]={a,NULL}'), ('bob', 4, NULL, '{}');
INSERT INTO app.people (name) VALUES ('');
CREATE INDEX people_name ON app.people (lower(name)) WHERE name <> 'bob';
CREATE VIEW app.glad AS SELECT id, name FROM app.people WHERE mood = 'glad' AND name IN ('ann', 'bob');
CREATE MATERIALIZED VIEW app.counted AS SELECT count(*) FROM app.people;
CREATE MATERIALIZED VIEW app.never AS SELECT 1 AS one WITH NO DATA;
CREATE TABLE "Odd ""schema"" 100% für"."Select, ""x"" 50%s" (
    "a b" int, "%(c)s" text, "user" text COLLATE "C", "ü" int);
INSERT INTO "Odd ""schema"" 100% für"."Select, ""x"" 50%s" VALUES
(1, 'c', 'u', 4), (1, 'c', 'u', 4), (NULL, NULL, '', 0);
CREATE TABLE app.events (at date NOT NULL, what text) PARTITION BY RANGE (at);
CREATE TABLE app.events_2020 PARTITION OF app.events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE app.events_rest PARTITION OF app.events DEFAULT;
INSERT INTO app.events VALUES ('2020-05-05', 'a'), ('2024-05-05', 'b');
CREATE TABLE app.base (i int); CREATE TABLE app.child (j int) INHERITS (app.base);
INSERT INTO app.base VALUES (1); INSERT INTO app.child VALUES (2, 3);
CREATE TABLE app.nothing ();
CREATE UNLOGGED TABLE app.fleeting (i int); INSERT INTO app.fleeting VALUES (1);
CREATE SEQUENCE app.counter INCREMENT -5 MAXVALUE 1000 START 1000; SELECT nextval('app.counter');
CREATE SEQUENCE app.fresh;
CREATE FUNCTION app.grow(i int) RETURNS int LANGUAGE sql AS $$ SELECT i + 1 $$;
CREATE PROCEDURE app.work() LANGUAGE sql AS $$ SELECT 1 $$;
CREATE AGGREGATE app.total (int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE FUNCTION app.changed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER people_changed BEFORE UPDATE ON app.people FOR EACH ROW WHEN (OLD.name <> NEW.name)
    EXECUTE FUNCTION app.changed();
CREATE RULE quiet AS ON DELETE TO app.base DO INSTEAD NOTHING;
ALTER TABLE app.child ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON app.child TO proof_reader USING (i > 1);
GRANT SELECT ON app.people TO proof_reader WITH GRANT OPTION; GRANT UPDATE (name) ON app.people TO proof_reader;
GRANT USAGE ON SEQUENCE app.counter TO proof_reader; REVOKE EXECUTE ON FUNCTION app.grow FROM PUBLIC;
ALTER TABLE app.base OWNER TO proof_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO proof_reader;
CREATE STATISTICS app.related ON i, j FROM app.child;
COMMENT ON TABLE app.people IS 'who is there'; COMMENT ON COLUMN app.people.name IS 'how they are called';
CREATE EXTENSION vector; CREATE TABLE app.points (v vector(3)); INSERT INTO app.points VALUES ('[1,2,3.5]');
CREATE FOREIGN DATA WRAPPER none; CREATE SERVER far FOREIGN DATA WRAPPER none OPTIONS (where 'there');
CREATE FOREIGN TABLE app.distant (i int) SERVER far OPTIONS (name 'x');
SELECT lo_from_bytea(4711, 'large'); GRANT SELECT ON LARGE OBJECT 4711 TO proof_reader;
CREATE PUBLICATION few FOR TABLE app.people;
"""


@pytest.fixture
def rich(admin: psycopg.Connection, cluster: Cluster) -> Iterator[psycopg.Connection]:
    cluster.create_role("proof_reader")
    admin.execute(RICH.encode())
    yield admin
    admin.execute("ROLLBACK")
    admin.execute("DROP OWNED BY proof_reader CASCADE")


@pytest.fixture(autouse=True)
def _no_role_left(cluster: Cluster) -> Iterator[None]:
    yield
    with cluster.connect() as connection:
        for (name,) in connection.execute("SELECT datname FROM pg_database WHERE datname ~ '^(test|copy)_'").fetchall():
            with cluster.connect(name) as inside:
                inside.execute("SET client_min_messages = error")
                if inside.execute("SELECT 1 FROM pg_roles WHERE rolname = 'proof_reader'").fetchone():
                    inside.execute("DROP OWNED BY proof_reader CASCADE")
        connection.execute("DROP ROLE IF EXISTS proof_reader")


def _recorded(make_source: SourceOf, cluster: Cluster, name: str) -> ProofRecord:
    return record(make_source(cluster.conninfo(name)), jobs=2)


def test_a_restored_database_has_an_equal_record(
    rich: psycopg.Connection, cluster: Cluster, make_source: SourceOf, copied: Copied
) -> None:
    before = _recorded(make_source, cluster, rich.info.dbname)
    after = _recorded(make_source, cluster, copied(cluster, rich.info.dbname))
    assert compare(before, after) == ()
    assert before.rows == 12
    assert {table.kind for table in before.tables} == {"table", "partitioned", "matview", "foreign"}
    assert before.method == "row-send-v1"
    assert before.major == 18
    assert ProofRecord.model_validate_json(before.to_bytes()) == before
    assert "passw" not in before.to_bytes().decode()


def test_the_same_on_16(cluster_16: Cluster, make_source: SourceOf, copied: Copied) -> None:
    cluster_16.create_role("proof_reader")
    cluster_16.create_database("rich")
    with cluster_16.connect("rich") as connection:
        connection.execute(RICH.encode())
        before = _recorded(make_source, cluster_16, "rich")
        target = copied(cluster_16, "rich")
        assert compare(before, _recorded(make_source, cluster_16, target)) == ()
        with cluster_16.connect(target) as changed:
            changed.execute("UPDATE app.people SET name = 'ann' WHERE name = ''")
        [said] = compare(before, _recorded(make_source, cluster_16, target))
        assert "content differs" in said
    cluster_16.drop_database("rich")


def test_it_is_recorded_under_the_snapshot_that_is_dumped(rich: psycopg.Connection, source: PostgresSource) -> None:
    from tdev_operators.core.backup.database.snapshot import held_snapshot

    before = record(source, jobs=1)
    with held_snapshot(source, lock_wait_seconds=5) as held:
        rich.execute("INSERT INTO app.base VALUES (7)")
        assert compare(before, record(source, held, jobs=2)) == ()
    assert len(compare(before, record(source, jobs=1))) == 1


MUTANTS = [
    ("UPDATE app.people SET size = 5 WHERE name = 'ann'", r"app\.people has as many rows .* their content differs"),
    ("UPDATE app.people SET tags = '{a,NULL}' WHERE name = 'ann'", r"app\.people .* content differs"),
    ("UPDATE app.fleeting SET i = NULL", r"app\.fleeting .* content differs"),
    ("UPDATE app.points SET v = '[1,2,3]'", r"app\.points .* content differs"),
    ("DELETE FROM app.people WHERE name = ''", r"app\.people had 3 rows at the source and has 2"),
    ("DROP TABLE app.nothing", r"The relation app\.nothing is missing"),
    ("CREATE TABLE app.more ()", r"The relation app\.more was not at the source"),
    ("ALTER TABLE app.people OWNER TO proof_reader", r"app\.people belonged to postgres"),
    ("REVOKE SELECT ON app.people FROM proof_reader", r"lost grants: proof_reader=SELECT\*"),
    ("REVOKE UPDATE (name) ON app.people FROM proof_reader", r"app\.people has other columns"),
    ("GRANT INSERT ON app.people TO PUBLIC", r"grants that it had not at the source: PUBLIC=INSERT"),
    ("REVOKE USAGE ON SEQUENCE app.counter FROM proof_reader", r"app\.counter has lost grants"),
    ("REVOKE USAGE ON SCHEMA app FROM proof_reader", r"rights of schema app were"),
    ("GRANT EXECUTE ON FUNCTION app.grow TO PUBLIC", r"rights of function app\.grow\(integer\)"),
    ("ALTER TABLE app.child DISABLE ROW LEVEL SECURITY", r"Row-level security of app\.child was on and is off"),
    ("ALTER TABLE app.child FORCE ROW LEVEL SECURITY", r"relation app\.child is defined otherwise"),
    ("DROP POLICY mine ON app.child", r"policy mine of app\.child is missing"),
    ("SELECT setval('app.counter', 1000, false)", r"app\.counter is behind: it would give 1000, the source 995"),
    ("SELECT setval('app.people_id_seq', 2)", r"app\.people_id_seq is behind"),
    ("ALTER SEQUENCE app.fresh CYCLE", r"The sequence app\.fresh was "),
    ("DROP EXTENSION vector CASCADE", r"The extension vector is missing"),
    ("UPDATE pg_extension SET extversion = '0' WHERE extname = 'vector'", r"vector had version .* and has 0 here"),
    ("SELECT lo_put(4711, 0, 'L')", r"large objects differ"),
    ("SELECT lo_from_bytea(0, 'more')", r"large objects differ .* 1 at the source and 2 here"),
    ("REVOKE SELECT ON LARGE OBJECT 4711 FROM proof_reader", r"large objects differ"),
    ("REFRESH MATERIALIZED VIEW app.counted WITH NO DATA", r"app\.counted was populated"),
    ("ALTER TABLE app.people ALTER tags TYPE varchar[]", r"app\.people has other columns"),
    ("ALTER TABLE app.people ALTER mood DROP DEFAULT", r"default of app\.people\.mood is missing"),
    (
        "ALTER TABLE app.people DROP CONSTRAINT people_name_check",
        r"constraint people_name_check of app\.people is miss",
    ),
    ("DROP INDEX app.people_name", r"index app\.people_name is missing"),
    (
        "ALTER TABLE app.people DISABLE TRIGGER people_changed",
        r"trigger people_changed of app\.people is defined other",
    ),
    ("DROP RULE quiet ON app.base", r"rule quiet of app\.base is missing"),
    ("CREATE OR REPLACE VIEW app.glad AS SELECT id, name FROM app.people", r"view app\.glad is defined otherwise"),
    (
        "CREATE OR REPLACE FUNCTION app.grow(i int) RETURNS int LANGUAGE sql AS 'SELECT i + 2'",
        r"function app\.grow\(integer\) is defined otherwise",
    ),
    ("ALTER TYPE app.mood ADD VALUE 'mad'", r"type app\.mood is defined otherwise"),
    (
        "ALTER DOMAIN app.positive DROP CONSTRAINT positive_check",
        r"constraint positive_check of app\.positive is missing",
    ),
    ("ALTER TABLE app.events DETACH PARTITION app.events_rest", r"relation app\.events_rest is defined otherwise"),
    ("COMMENT ON COLUMN app.people.name IS NULL", r"comment on table column app\.people\.name is missing"),
    ("ALTER SERVER far OPTIONS (SET where 'here')", r"foreign server far is defined otherwise"),
    ("ALTER FOREIGN TABLE app.distant OPTIONS (SET name 'y')", r"relation app\.distant is defined otherwise"),
    ("DROP STATISTICS app.related", r"statistics related of app\.child is missing"),
    ("DROP PUBLICATION few", r"publication few is missing"),
    ("DROP PROCEDURE app.work", r"procedure app\.work\(\) is missing"),
    (
        "ALTER DEFAULT PRIVILEGES IN SCHEMA app REVOKE SELECT ON TABLES FROM proof_reader",
        r"default grants .* is missing",
    ),
]


class _Inside:
    """A session that sees what its transaction has changed."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    @property
    def pid(self) -> int:
        return self._connection.info.backend_pid

    def rows(self, statement: Any, params: Any = None) -> list[dict[str, Any]]:
        cursor = self._connection.cursor(row_factory=dict_row).execute(statement, params)
        return cursor.fetchall() if cursor.description else []

    def record(self) -> ProofRecord:
        pin(self, local=True)
        catalogue = read_catalogue(self)
        digests = {}
        for table in catalogue.tables:
            [row] = self.rows(table_query(table))
            digests[table.schema, table.name] = TableDigest(row["rows"], str(row["digest"]))
        return assembled(catalogue, read_schema(self), digests)


def test_every_mutant_is_caught(rich: psycopg.Connection, source: PostgresSource) -> None:
    rich.execute("SET session_replication_role = replica")  # UPDATE without our trigger
    before = record(source, jobs=1)
    survived = []
    for statement, expected in MUTANTS:
        rich.execute("BEGIN")
        rich.execute(statement.encode())
        said = compare(before, _Inside(rich).record())
        rich.execute("ROLLBACK")
        if not any(re.search(expected, sentence) for sentence in said):
            survived.append((statement, said))
    assert survived == []


def test_a_sequence_may_be_ahead(rich: psycopg.Connection, source: PostgresSource) -> None:
    before = record(source, jobs=1)
    rich.execute("SELECT nextval('app.counter'), nextval('app.people_id_seq'), nextval('app.fresh')")
    assert compare(before, record(source, jobs=1)) == ()


@pytest.mark.parametrize("change", [{"method": "text-v1"}, {"major": 17}])
def test_records_of_another_kind_are_not_compared(source: PostgresSource, change: dict[str, Any]) -> None:
    before = record(source, jobs=1)
    [said] = compare(before, before.model_copy(update={**change, "encoding": "LATIN1"}))
    assert "cannot be compared" in said


def test_another_encoding_is_said(source: PostgresSource) -> None:
    before = record(source, jobs=1)
    [said] = compare(before, before.model_copy(update={"encoding": "LATIN1"}))
    assert said == "The encoding of the database was UTF8 at the source and is LATIN1 here."


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "EUC_JP"])
def test_other_encodings_survive(encoding: str, cluster: Cluster, make_source: SourceOf) -> None:
    names = ["test_encoded", "test_encoded_copy"]
    try:
        for name in names:
            with cluster.connect() as connection:
                connection.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0".encode())
        with cluster.connect(names[0]) as connection:
            connection.execute("CREATE TABLE t (a text, b char(5), c text[], d jsonb, e varchar(5))")
            word = "\\xe9" if encoding != "EUC_JP" else "\\xa4a2"
            connection.execute(
                "INSERT INTO t SELECT w, w, ARRAY[w], to_jsonb(w), w "
                f"FROM convert_from('{word}', '{encoding}') w".encode()
            )
        env = {**os.environ, "PGPASSWORD": cluster.conninfo()["password"]}
        where = ["-h", cluster.host, "-p", str(cluster.port), "-U", "postgres"]
        dump = [cluster.binaries / "pg_dump", "-Fc", *where, names[0]]
        dumped = subprocess.run(dump, env=env, check=True, capture_output=True).stdout
        restore = [cluster.binaries / "pg_restore", *where, "-d", names[1]]
        subprocess.run(restore, env=env, check=True, input=dumped)
        before = _recorded(make_source, cluster, names[0])
        assert (before.encoding, before.rows) == (encoding, 1)
        assert compare(before, _recorded(make_source, cluster, names[1])) == ()
    finally:
        for name in names:
            cluster.drop_database(name)
