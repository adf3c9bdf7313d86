"""The catalogue: what a dump would hold, what the role may not read, and what a scratch server lacks."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from sandbox.postgres import Cluster
from tdev_operators.core.backup.database.catalogue import (
    Abilities,
    Catalogue,
    abilities,
    missing_privileges,
    pin,
    read_catalogue,
    unprovable,
)
from tdev_operators.core.backup.ports import Session
from tdev_operators.hooks.postgres_sessions import PostgresSource

SourceOf = Callable[..., PostgresSource]


@pytest.fixture
def session(source: PostgresSource) -> Iterator[Session]:
    with source.session() as session:
        pin(session)
        yield session


@pytest.fixture
def reader(cluster: Cluster, database: dict[str, Any], admin: psycopg.Connection) -> Iterator[dict[str, Any]]:
    """The conninfo of a role that may only connect."""
    cluster.create_role("catalogue_reader")
    admin.execute(f"GRANT CONNECT ON DATABASE {database['dbname']} TO catalogue_reader".encode())
    yield cluster.conninfo(database["dbname"], user="catalogue_reader")
    admin.execute("DROP OWNED BY catalogue_reader CASCADE; DROP ROLE catalogue_reader")


def test_it_lists_what_pg_dump_would_dump(session: Session, admin: psycopg.Connection) -> None:
    admin.execute(
        'CREATE SCHEMA "S p"; CREATE TABLE "S p"."T ""x"" %" (a int, gone int, b text);'
        'ALTER TABLE "S p"."T ""x"" %" DROP COLUMN gone;'
        "CREATE TABLE parent (i int) PARTITION BY LIST (i); CREATE TABLE leaf PARTITION OF parent DEFAULT;"
        "CREATE UNLOGGED TABLE fleeting (i int); CREATE TEMP TABLE passing (i int);"
        "CREATE MATERIALIZED VIEW full_view AS SELECT 1; CREATE MATERIALIZED VIEW empty_view AS SELECT 1 WITH NO DATA;"
        "CREATE VIEW seen AS SELECT 1; CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;"
        "CREATE FOREIGN TABLE far (i int) SERVER s; CREATE EXTENSION vector; CREATE TABLE owned (i int);"
        "ALTER EXTENSION vector ADD TABLE owned; ALTER TABLE leaf ENABLE ROW LEVEL SECURITY;"
        "CREATE SEQUENCE down INCREMENT -2; SELECT nextval('down'); SELECT lo_from_bytea(0, 'x');"
        "CREATE DOMAIN exact AS numeric; CREATE DOMAIN deeper AS exact;"
        'CREATE TABLE kinds (c char(3), d deeper, m text COLLATE "C", g int GENERATED ALWAYS AS (1 + 1) STORED)'
    )
    found = read_catalogue(session)
    assert {(each.title, each.kind) for each in found.relations} == {
        ('"S p"."T ""x"" %"', "table"),
        ("public.parent", "partitioned"),
        ("public.leaf", "table"),
        ("public.fleeting", "table"),
        ("public.full_view", "matview"),
        ("public.empty_view", "matview"),
        ("public.far", "foreign"),
        ("public.kinds", "table"),
    }
    named = {each.name: each for each in found.relations}
    assert [column.name for column in named['T "x" %'].columns] == ["a", "b"]
    assert [(column.base, column.padded) for column in named["kinds"].columns] == [
        ("bpchar", True),
        ("numeric", False),
        ("text", False),
        ("int4", False),
    ]
    assert [column.signature for column in named["kinds"].columns][2:] == [
        'm text collate "C"',
        "g integer generated s",
    ]
    assert (named["full_view"].populated, named["empty_view"].populated) == (True, False)
    assert (named["leaf"].row_security, named["fleeting"].row_security) == (True, False)
    assert {table.name for table in found.lockable} - {table.name for table in found.tables} == {"parent"}
    [down] = found.sequences
    assert (down.last_value, down.is_called, down.increment) == (-1, True, -2)
    assert found.extensions.keys() == {"plpgsql", "vector"}
    assert (found.encoding, found.locale_provider, found.large_objects, found.major) == ("UTF8", "libc", 1, 18)


def test_a_superuser_lacks_nothing(session: Session, admin: psycopg.Connection) -> None:
    admin.execute(
        "CREATE TABLE t (i int); ALTER TABLE t FORCE ROW LEVEL SECURITY; ALTER TABLE t ENABLE ROW LEVEL SECURITY"
    )
    assert missing_privileges(session) == []


def test_what_is_missing_comes_with_the_grant_that_mends_it(
    admin: psycopg.Connection, reader: dict[str, Any], make_source: SourceOf
) -> None:
    admin.execute(
        'CREATE SCHEMA "My app"; CREATE TABLE "My app"."T%" (i int); CREATE TABLE h (i int);'
        "ALTER TABLE h ENABLE ROW LEVEL SECURITY; CREATE SEQUENCE c; SELECT lo_from_bytea(77, 'x')"
    )
    source = make_source(reader)
    with source.session() as session:
        said = missing_privileges(session)
        assert said == [
            'The schema "My app" cannot be entered: GRANT USAGE ON SCHEMA "My app" TO "catalogue_reader";',
            'The table "My app"."T%" cannot be read: GRANT SELECT ON TABLE "My app"."T%" TO "catalogue_reader";',
            'The sequence "public"."c" cannot be read: GRANT SELECT ON SEQUENCE "public"."c" TO "catalogue_reader";',
            'The table "public"."h" cannot be read: GRANT SELECT ON TABLE "public"."h" TO "catalogue_reader";',
            'The table "public"."h" hides rows by row-level security: ALTER ROLE "catalogue_reader" BYPASSRLS;',
            'The large object 77 cannot be read: GRANT SELECT ON LARGE OBJECT 77 TO "catalogue_reader";',
        ]
        for sentence in said:
            admin.execute(sentence.partition(": ")[2].encode())
        assert missing_privileges(session) == []


def test_pg_read_all_data_still_lacks_large_objects_and_hidden_rows(
    admin: psycopg.Connection, reader: dict[str, Any], make_source: SourceOf
) -> None:
    admin.execute(
        "CREATE TABLE hidden (i int); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY; SELECT lo_from_bytea(78, 'x');"
        "CREATE TABLE plain (i int); GRANT pg_read_all_data TO catalogue_reader"
    )
    with make_source(reader).session() as session:
        said = missing_privileges(session)
    assert [sentence.partition(":")[0] for sentence in said] == [
        'The table "public"."hidden" hides rows by row-level security',
        "The large object 78 cannot be read",
    ]


def test_our_own_server_can_prove_what_it_holds(session: Session, admin: psycopg.Connection) -> None:
    admin.execute('CREATE EXTENSION vector; CREATE TABLE t (a text COLLATE "C.utf8")')
    catalogue, able = read_catalogue(session), abilities(session)
    assert catalogue.collations == ("libc:C.utf8",)
    assert unprovable(catalogue, able) == []
    assert not able.icu


CATALOGUE = Catalogue(
    server_version_num=180004,
    encoding="UTF8",
    collation="en_US.UTF-8",
    character_type="en_US.UTF-8",
    locale_provider="libc",
    locale="en_US.UTF-8",
    collations=(),
    extensions={"plpgsql": "1.0"},
    relations=(),
    sequences=(),
    large_objects=0,
)
ABLE = Abilities(18, icu=False, extensions={"plpgsql": "1.0"}, collations=frozenset({"libc:en_US.utf8"}))


@pytest.mark.parametrize(
    ("catalogue", "able", "said"),
    [
        ({}, {}, None),
        ({"extensions": {"pgcrypto": "1.3"}}, {}, "unprovable: needs pgcrypto; install that extension"),
        (
            {"extensions": {"plpgsql": "2.0"}},
            {},
            "unprovable: needs plpgsql 2.0, and the scratch server would make 1.0",
        ),
        ({"server_version_num": 160014}, {}, "unprovable: needs PostgreSQL 16, and the scratch server is a 18"),
        ({}, {"collations": frozenset()}, "unprovable: needs the libc locale en_US.UTF-8"),
        ({"collations": ("icu:de-AT",)}, {}, "unprovable: needs the icu locale de-AT"),
        ({"collations": ("icu:de-AT",)}, {"icu": True}, None),
        ({"locale_provider": "icu", "locale": "de"}, {}, "unprovable: needs the icu locale de;"),
        ({"locale_provider": "builtin", "locale": "C.UTF-8", "collation": "C", "character_type": "C"}, {}, None),
    ],
)
def test_what_a_scratch_server_lacks_is_named(
    catalogue: dict[str, Any], able: dict[str, Any], said: str | None
) -> None:
    found = unprovable(replace(CATALOGUE, **catalogue), replace(ABLE, **able))
    assert len(found) == (said is not None)
    assert said is None or found[0].startswith(said)
