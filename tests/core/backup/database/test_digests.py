"""Digests: exact for every type, free of order, and quick to see an exchange."""

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from sandbox.postgres import Cluster
from tdev_operators.core.backup.database.catalogue import pin
from tdev_operators.core.backup.database.digests import (
    LargeObjectsDigest,
    TableDigest,
    digest_all,
    digest_large_objects,
)
from tdev_operators.core.backup.database.snapshot import held_snapshot
from tdev_operators.core.errors import AccessDeniedError, BusyError, InputError
from tdev_operators.hooks.postgres_sessions import PostgresSource

SourceOf = Callable[..., PostgresSource]
Copied = Callable[[Cluster, str], str]

# Types that a column can have, each with a value; every other one that PostgreSQL knows gets NULL (the embedded one has
# no libxml).
VALUES = {
    "aclitem": "postgres=r/postgres",
    "bit": "1",
    "bool": "t",
    "box": "(1,1),(0,0)",
    "bpchar": "a  ",
    "bytea": "\\x00ff",
    "char": "\\300",
    "cid": "5",
    "cidr": "10.0.0.0/8",
    "circle": "<(0,0),1.5>",
    "date": "4713-01-01 BC",
    "datemultirange": "{[2020-01-01,2020-02-01)}",
    "daterange": "[2020-01-01,2020-02-01)",
    "float4": "-0",
    "float8": "NaN",
    "inet": "10.0.0.1/8",
    "int2": "-32768",
    "int2vector": "1 2",
    "int4": "-1",
    "int4multirange": "{[1,2),[5,7)}",
    "int4range": "empty",
    "int8": "-9223372036854775808",
    "int8multirange": "{}",
    "int8range": "(,5)",
    "interval": "1 mon -1 day +00:00:00.000001",
    "json": '{"b": 1,  "a": null}',
    "jsonb": '{"b": 1.00, "a": [null, "x"]}',
    "jsonpath": '$."a"[*]',
    "line": "{1,2,3}",
    "lseg": "[(0,0),(1,1)]",
    "macaddr": "08:00:2b:01:02:03",
    "macaddr8": "08:00:2b:01:02:03:04:05",
    "money": "-12.34",
    "name": "Köln",
    "numeric": "1.00",
    "nummultirange": "{[1.0,2.00)}",
    "numrange": "[1.0,2.00)",
    "oid": "4294967295",
    "oidvector": "1 2",
    "path": "((0,0),(1,1))",
    "pg_lsn": "16/B374D848",
    "pg_snapshot": "10:20:10,14",
    "point": "(0.1,-0)",
    "polygon": "((0,0),(1,1),(2,0))",
    "refcursor": "c",
    "regclass": "pg_class",
    "regcollation": '"C"',
    "regconfig": "english",
    "regdictionary": "simple",
    "regnamespace": "public",
    "regoper": "|/",
    "regoperator": "+(integer,integer)",
    "regproc": "now",
    "regprocedure": "abs(integer)",
    "regrole": "postgres",
    "regtype": "integer",
    "text": "ünï\tcode\\",
    "tid": "(1,2)",
    "time": "24:00:00",
    "timestamp": "infinity",
    "timestamptz": "2020-01-01 00:00:00+00",
    "timetz": "12:00:00+02",
    "tsmultirange": "{}",
    "tsquery": "'a' & !'b'",
    "tsrange": "empty",
    "tstzmultirange": "{}",
    "tstzrange": "empty",
    "tsvector": "'a':1A 'b':2",
    "txid_snapshot": "10:20:10,14",
    "uuid": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    "varbit": "101",
    "varchar": "",
    "xid": "7",
    "xid8": "8",
}


def _digests(source: PostgresSource, **options: Any) -> dict[str, TableDigest]:
    with held_snapshot(source, lock_wait_seconds=5) as held:
        found = digest_all(source, held.id, held.catalogue.tables, options.pop("jobs", 2), **options)
    return {name: digest for (_, name), digest in found.items()}


def _large(source: PostgresSource) -> LargeObjectsDigest:
    with source.session() as session:
        pin(session)
        return digest_large_objects(session)


def _all_types(admin: psycopg.Connection) -> list[str]:
    """Make the table `everything` with a column of each type that can be one, and fill it."""
    names = [
        name
        for (name,) in admin.execute(
            "SELECT typname FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace "
            "AND typtype IN ('b', 'r', 'm') AND typrelid = 0 ORDER BY oid"
        ).fetchall()
    ]
    admin.execute("CREATE TABLE everything (line int)")
    able = []
    for name in names:
        try:
            admin.execute(f'ALTER TABLE everything ADD "c_{name}" pg_catalog."{name}"'.encode())
        except psycopg.errors.InvalidTableDefinition:  # a pseudo-type in disguise
            continue
        able.append(name)
    columns, values = [], []
    for name in able:
        element = name.removeprefix("_")
        if element in VALUES and name != "_aclitem":
            columns.append(f'"c_{name}"')
            value = VALUES[element]
            quoted = '"{}"'.format(value.replace("\\", "\\\\").replace('"', '\\"'))
            array = f"[2:4]={{{quoted},NULL,{quoted}}}"
            if element == "box":
                array = "[2:3]={" + f"{value};{value}" + "}"
            values.append(array if name.startswith("_") else value)
    admin.execute(
        f"INSERT INTO everything (line, {', '.join(columns)}) VALUES (1{', %s' * len(values)})".encode(), values
    )
    admin.execute("INSERT INTO everything (line) VALUES (2)")
    return able


@pytest.mark.seeded
@pytest.mark.parametrize("version", [16, 18])
def test_every_type_survives_a_dump_and_every_value_counts(
    version: int, cluster: Cluster, request: pytest.FixtureRequest, make_source: SourceOf, copied: Copied
) -> None:
    server = cluster if version == 18 else request.getfixturevalue("cluster_16")
    server.create_database("all_types")
    try:
        with server.connect("all_types") as admin:
            able = _all_types(admin)
            assert set(VALUES) <= set(able)
            before = _digests(make_source(server.conninfo("all_types")))["everything"]
            target = copied(server, "all_types")
            assert _digests(make_source(server.conninfo(target)))["everything"] == before
            assert before.rows == 2
            unseen = []
            source = make_source(server.conninfo("all_types"))
            with source.session() as session:
                session.rows("SET search_path = ''")
                from tdev_operators.core.backup.database.catalogue import read_catalogue
                from tdev_operators.core.backup.database.digests import table_query

                query = table_query(read_catalogue(session).tables[0])
                assert str(session.rows(query)[0]["digest"]) == before.digest
                for name in VALUES:  # the value lost: another digest
                    session.rows("BEGIN")
                    session.rows(f'UPDATE public.everything SET "c_{name}" = NULL WHERE line = 1')
                    if str(session.rows(query)[0]["digest"]) == before.digest:
                        unseen.append(name)
                    session.rows("ROLLBACK")
            assert unseen == []
    finally:
        server.drop_database("all_types")


ALIKE = [
    ("numeric", "1.0", "1.00"),
    ("float8", "0", "-0"),
    ("float4", "0", "-0"),
    ("interval", "1 day", "24:00:00"),
    ("interval", "1 mon", "30 days"),
    ("timetz", "12:00+00", "13:00+01"),
    ("int[]", "{1,2,3,4}", "{{1,2},{3,4}}"),
    ("int[]", "{1,2}", "[0:1]={1,2}"),
    ("numeric[]", "{1.0}", "{1.00}"),
    ("text[]", "{NULL}", '{"NULL"}'),
    ("jsonb", '{"a": 1.0}', '{"a": 1.00}'),
    ("json", '{"a":1}', '{"a": 1}'),
    ("bpchar", "a", "a "),
    ("text", "a", "a "),
    ("char(3)", "a", "b"),
    ("int8", "0", "-1"),
    ("int8", "4294967297", "0"),  # the halves cancel out in int8's own hash
    ("timestamptz", "infinity", "-infinity"),
    ("pg_lsn", "1/1", "0/0"),
    ("xid8", "4294967297", "0"),
    ("bit varying", "0", "00"),
    ("inet", "10.0.0.1", "10.0.0.1/8"),
    ("numrange", "[1.0,2)", "[1.00,2)"),
    ("point", "(0,0)", "(-0,0)"),
    ("money", "1.00", "1.01"),
    ("bytea", "\\x00", "\\x0000"),
    ("bool", "t", "f"),
    ("insensitive", "A", "a"),
    ("mood", "sad", "glad"),
    ("pair", "(,)", '("",)'),
    ("exact", "1.0", "1.00"),
    ("words", "{a,b}", "[0:1]={a,b}"),
]


def test_values_that_are_equal_and_not_alike_differ(admin: psycopg.Connection, source: PostgresSource) -> None:
    admin.execute(
        "CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TYPE pair AS (a text, b text);"
        "CREATE DOMAIN exact AS numeric; CREATE DOMAIN deeper AS exact; CREATE DOMAIN words AS text[];"
        "CREATE DOMAIN insensitive AS varchar(9)"
    )
    for number, (kind, one, other) in enumerate(ALIKE):
        for half, value in enumerate((one, other)):
            admin.execute(f"CREATE TABLE t{number}_{half} (v {kind})".encode())
            admin.execute(f"INSERT INTO t{number}_{half} VALUES (%s)".encode(), [value])
    found = _digests(source)
    alike = [ALIKE[n] for n in range(len(ALIKE)) if found[f"t{n}_0"].digest == found[f"t{n}_1"].digest]
    assert alike == []


def test_nondeterministic_collations_and_contrib_are_seen_by_their_bytes(
    debian: Cluster, make_source: SourceOf, copied: Copied
) -> None:
    debian.create_database("coarse")
    try:
        with debian.connect("coarse") as admin:
            admin.execute(
                "CREATE EXTENSION citext; CREATE EXTENSION hstore;"
                "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
                "CREATE DOMAIN word AS varchar(9) COLLATE ci;"
                "CREATE TABLE t (i int, a text COLLATE ci, b char(3) COLLATE ci, c word, d text[] COLLATE ci, "
                "e citext, f hstore, g xml); INSERT INTO t VALUES (1, 'A', 'A', 'A', '{A}', 'A', 'a=>1', '<a/>')"
            )
            source = make_source(debian.conninfo("coarse"))
            before = _digests(source)
            assert _digests(make_source(debian.conninfo(copied(debian, "coarse")))) == before
            unseen = []
            for name in "abcdefg":
                value = {"d": "{a}", "f": "a=>2", "g": "<b/>"}.get(name, "a")
                admin.execute(f"UPDATE t SET {name} = '{value}' WHERE i = 1".encode())
                after = _digests(source)
                unseen += [name] if after == before else []
                before = after
            assert unseen == []
    finally:
        debian.drop_database("coarse")


def test_a_type_with_a_coarse_hash_and_a_misleading_cast_is_seen_by_its_output(
    admin: psycopg.Connection, source: PostgresSource
) -> None:
    # A type as citext is: text whose own hash ignores case.
    admin.execute(
        "CREATE TYPE coarse; "
        "CREATE FUNCTION coarse_in(cstring) RETURNS coarse AS 'textin' LANGUAGE internal IMMUTABLE STRICT; "
        "CREATE FUNCTION coarse_out(coarse) RETURNS cstring AS 'textout' LANGUAGE internal IMMUTABLE STRICT; "
        "CREATE TYPE coarse (INPUT = coarse_in, OUTPUT = coarse_out, LIKE = text); "
        "CREATE FUNCTION shown(coarse) RETURNS text AS $$ SELECT 'always'::text $$ LANGUAGE sql IMMUTABLE; "
        "CREATE CAST (coarse AS text) WITH FUNCTION shown(coarse) AS IMPLICIT; "
        "CREATE TABLE a (v coarse); INSERT INTO a VALUES ('A'); CREATE TABLE b (v coarse); INSERT INTO b VALUES ('a')"
    )
    found = _digests(source)
    assert found["a"] != found["b"]


def test_what_a_dump_writes_alike_is_alike(admin: psycopg.Connection, source: PostgresSource) -> None:
    admin.execute("CREATE TABLE a (f float8, g float4, n int[]); CREATE TABLE b (LIKE a)")
    # A NaN that the processor made, and an array that once held a NULL.
    admin.execute("INSERT INTO a VALUES ('NaN', 'NaN', '{1,2}')")
    admin.execute("INSERT INTO b VALUES (float8 'inf' + float8 '-inf', float4 'inf' + float4 '-inf', '{NULL,2}')")
    admin.execute("UPDATE b SET n[1] = 1")
    [(plain, flagged)] = admin.execute("SELECT array_send(a.n), array_send(b.n) FROM a, b").fetchall()
    assert plain != flagged
    found = _digests(source)
    assert found["a"] == found["b"]


def test_values_that_two_rows_exchange_are_seen(admin: psycopg.Connection, source: PostgresSource) -> None:
    for name in ("a", "b"):
        admin.execute(f"CREATE TABLE {name} (id int, v text, w text)".encode())
    admin.execute("INSERT INTO a SELECT i, 'v' || i, 'w' || i FROM generate_series(1, 64) i")
    # PostgreSQL's own row hash, summed, is blind to this: it is linear in the columns.
    admin.execute("INSERT INTO b SELECT i, 'v' || (65 - i), 'w' || i FROM generate_series(1, 64) i")
    [(a, b)] = admin.execute(
        "SELECT (SELECT sum(hash_record_extended(ROW(id, v, w), 0)) FROM a), "
        "(SELECT sum(hash_record_extended(ROW(id, v, w), 0)) FROM b)"
    ).fetchall()
    assert (a - b) % 2**64 == 0
    found = _digests(source)
    assert (int(found["a"].digest) - int(found["b"].digest)) % 2**64 != 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("VALUES (1, NULL)", "VALUES (1, '')"),
        ("VALUES (1, NULL)", "VALUES (1, 'NULL')"),
        ("VALUES (1, 'a'), (1, 'a')", "VALUES (1, 'a')"),
        ("VALUES (1, 'a'), (1, 'a'), (2, 'b')", "VALUES (1, 'a'), (2, 'b'), (2, 'b')"),
        ("VALUES (1, 'a'), (2, 'b')", "VALUES (1, 'b'), (2, 'a')"),
        ("VALUES (NULL, 'a')", "VALUES (0, 'a')"),
    ],
)
def test_rows_that_differ_have_another_digest(
    admin: psycopg.Connection, source: PostgresSource, one: str, other: str
) -> None:
    admin.execute("CREATE TABLE a (i int, t text); CREATE TABLE b (i int, t text)")
    admin.execute(f"INSERT INTO a {one}; INSERT INTO b {other}".encode())
    found = _digests(source)
    assert found["a"].digest != found["b"].digest


def test_neither_order_nor_parts_nor_jobs_change_it(admin: psycopg.Connection, source: PostgresSource) -> None:
    admin.execute(
        "CREATE TABLE a (i int, t text); INSERT INTO a SELECT i, repeat('x', 200) FROM generate_series(1, 5000) i"
    )
    admin.execute("CREATE TABLE b (i int, t text); INSERT INTO b SELECT * FROM a ORDER BY random()")
    whole = _digests(source, jobs=1)
    assert whole["a"] == whole["b"]
    assert whole["a"].rows == 5000
    assert _digests(source, jobs=3, part_bytes=64 * 1024) == whole


def test_a_table_without_columns_has_a_count(admin: psycopg.Connection, source: PostgresSource) -> None:
    admin.execute(
        "CREATE TABLE a (); INSERT INTO a DEFAULT VALUES; INSERT INTO a DEFAULT VALUES; CREATE TABLE b (i int)"
    )
    assert _digests(source) == {"a": TableDigest(2, "0"), "b": TableDigest(0, "0")}


def test_generated_and_inherited_rows_count_once(admin: psycopg.Connection, source: PostgresSource) -> None:
    admin.execute(
        "CREATE TABLE p (i int, twice int GENERATED ALWAYS AS (i * 2) STORED, thrice int GENERATED ALWAYS AS (i * 3));"
        "CREATE TABLE c () INHERITS (p); INSERT INTO p VALUES (1); INSERT INTO c VALUES (2), (3)"
    )
    assert {name: each.rows for name, each in _digests(source).items()} == {"p": 1, "c": 2}


def test_writers_do_not_disturb_it(admin: psycopg.Connection, source: PostgresSource, database: dict[str, Any]) -> None:
    admin.execute(
        "CREATE TABLE a (i int PRIMARY KEY, t text); INSERT INTO a SELECT i, i FROM generate_series(1, 20000) i"
    )
    over = threading.Event()

    def write() -> None:
        with psycopg.connect(**database, autocommit=True) as writer:
            while not over.is_set():
                writer.execute("UPDATE a SET t = t || 'x' WHERE i % 50 = (random() * 49)::int")
                writer.execute("INSERT INTO a SELECT max(i) + 1, 'new' FROM a")

    before = _digests(source)
    with held_snapshot(source, lock_wait_seconds=5) as held:
        thread = threading.Thread(target=write)
        thread.start()
        try:
            for _ in range(5):
                found = digest_all(source, held.id, held.catalogue.tables, 2, part_bytes=64 * 1024)
                assert found["public", "a"] == before["a"]
        finally:
            over.set()
            thread.join()
    assert _digests(source) != before


def test_hidden_rows_are_an_error_and_never_a_smaller_count(
    cluster: Cluster, database: dict[str, Any], admin: psycopg.Connection, make_source: SourceOf
) -> None:
    cluster.create_role("digest_reader", member_of=("pg_read_all_data",))
    try:
        admin.execute(
            f"GRANT CONNECT ON DATABASE {database['dbname']} TO digest_reader; CREATE TABLE a (i int);"
            "INSERT INTO a VALUES (1), (2); ALTER TABLE a ENABLE ROW LEVEL SECURITY;"
            "CREATE POLICY half ON a USING (i = 1)".encode()
        )
        reader = make_source(cluster.conninfo(database["dbname"], user="digest_reader"))
        with pytest.raises(AccessDeniedError, match="row-level security"):
            _digests(reader)
    finally:
        admin.execute("DROP OWNED BY digest_reader; DROP ROLE digest_reader")


@pytest.mark.parametrize("lost", ["a session", "the lease"])
def test_an_error_ends_all_sessions_at_once(admin: psycopg.Connection, source: PostgresSource, lost: str) -> None:
    # Each row takes some 40 ms.
    admin.execute("CREATE TABLE slow (i int, j text GENERATED ALWAYS AS (md5(repeat(i::text, 20000000))) VIRTUAL)")
    admin.execute("INSERT INTO slow SELECT i FROM generate_series(1, 3000) i")
    if lost == "a session":
        admin.execute(
            "CREATE TABLE broken (i int, j int GENERATED ALWAYS AS (1 / i) VIRTUAL); INSERT INTO broken VALUES (0)"
        )

    def still_ours() -> None:
        if lost == "the lease":
            raise InputError("lost")

    started = time.monotonic()
    with pytest.raises(InputError, match="division by zero" if lost == "a session" else "^lost$"):
        _digests(source, still_ours=still_ours)
    assert time.monotonic() - started < 5
    for _ in range(50):
        [(left,)] = admin.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tdev-backup' "
            "AND datname = current_database()"
        ).fetchall()
        if not left:
            break
        time.sleep(0.1)
    assert left == 0


def test_large_objects_have_a_digest_of_content_owner_and_grants(
    cluster: Cluster, admin: psycopg.Connection, source: PostgresSource, make_source: SourceOf, copied: Copied
) -> None:  # fmt: skip
    assert _large(source) == LargeObjectsDigest(0, "0")
    admin.execute(
        "SELECT lo_from_bytea(70001, 'one'), lo_from_bytea(70002, ''), lo_from_bytea(70003, repeat('x', 5000)::bytea)"
    )
    with admin.transaction():  # a sparse one, and one with zeros at its end
        admin.execute("SELECT lo_create(70004)")
        admin.execute("SELECT lo_put(70004, 100000, 'far away')")
        admin.execute("SELECT lo_put(70004, 3, 'near')")
        admin.execute("SELECT lo_from_bytea(70005, '\\x610000')")
    before = _large(source)
    assert before.count == 5
    assert _large(make_source(cluster.conninfo(copied(cluster, admin.info.dbname)))) == before

    cluster.create_role("large_reader")
    try:
        admin.execute(f"GRANT CONNECT ON DATABASE {admin.info.dbname} TO large_reader".encode())
        for number in range(70001, 70006):
            admin.execute(f"GRANT SELECT ON LARGE OBJECT {number} TO large_reader".encode())
        granted = _large(source)
        assert granted != before
        reader = make_source(cluster.conninfo(admin.info.dbname, user="large_reader"))
        assert _large(reader) == granted  # the slow way gives the same figure
        admin.execute("REVOKE SELECT ON LARGE OBJECT 70003 FROM large_reader")
        with pytest.raises(AccessDeniedError):
            _large(reader)
    finally:
        admin.execute("DROP OWNED BY large_reader; DROP ROLE large_reader")

    for change in (
        "lo_put(70003, 4999, 'y')",
        "lo_put(70005, 3, '\\x00')",
        "lo_from_bytea(70009, 'one')",
        "lo_unlink(70002)",
    ):
        last = _large(source)
        admin.execute(f"SELECT {change}".encode())
        assert _large(source) != last, change


def test_an_alter_that_waits_for_the_holder_is_no_dead_end(
    admin: psycopg.Connection, source: PostgresSource, database: dict[str, Any]
) -> None:
    admin.execute("CREATE TABLE t (i int)")
    with held_snapshot(source, lock_wait_seconds=5) as held, psycopg.connect(**database) as other:
        waiting = threading.Thread(target=lambda: other.execute("SET lock_timeout = '3s'; ALTER TABLE t ADD j int"))
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(threading, "excepthook", lambda _: None)
            waiting.start()
            time.sleep(0.3)
            with pytest.raises(BusyError):
                digest_all(source, held.id, held.catalogue.tables, 1, lock_wait_seconds=0.2)
            waiting.join()
        assert digest_all(source, held.id, held.catalogue.tables, 1)["public", "t"].rows == 0


def test_settings_of_the_database_do_not_change_it(
    admin: psycopg.Connection, source: PostgresSource, database: dict[str, Any]
) -> None:
    admin.execute(
        "CREATE TABLE t (a timestamptz[], b interval[], c float8[], d bytea[], e money[], f regclass, g date[]);"
        "INSERT INTO t VALUES ('{2020-02-01 10:00+00}', '{1 mon -1 day 00:00:01}', '{0.1234567890123456}', "
        "ARRAY['\\x00ff'::bytea], ARRAY[12.5::numeric::money], 't', '{2020-02-01}')"
    )
    before = _digests(source)
    for setting in (
        "DateStyle = 'German'", "IntervalStyle = 'iso_8601'", "TimeZone = 'Asia/Tokyo'", "extra_float_digits = -10",
        "bytea_output = 'escape'", "search_path = 'pg_catalog'", "lc_monetary = 'C.utf8'", "quote_all_identifiers = on",
    ):  # fmt: skip
        admin.execute(f"ALTER DATABASE {database['dbname']} SET {setting}".encode())
        assert _digests(source) == before, setting


def test_a_configuration_table_of_an_extension_counts_by_its_condition(
    admin: psycopg.Connection, source: PostgresSource
) -> None:
    admin.execute(
        "CREATE EXTENSION vector; CREATE TABLE settings (i int); INSERT INTO settings VALUES (1), (2), (3);"
        "CREATE TABLE inner_state (i int); ALTER EXTENSION vector ADD TABLE settings;"
        "ALTER EXTENSION vector ADD TABLE inner_state;"
        "UPDATE pg_extension SET extconfig = ARRAY['settings'::regclass::oid], extcondition = ARRAY['WHERE i > 1'] "
        "WHERE extname = 'vector'"
    )
    assert {name: each.rows for name, each in _digests(source).items()} == {"settings": 2}
