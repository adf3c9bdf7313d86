"""What is refused, with the reason; and what a table is walked by."""

import pytest

from tdev_operators.core.backup.database.catalogue import pin
from tdev_operators.core.database.retention.table import read_table
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.postgres_sessions import PostgresSource
from tests.core.database.retention.conftest import INDEX, METRICS, ROWS, RULE
from tests.records import facts_of

PLAIN = "CREATE TABLE metrics (id bigint PRIMARY KEY, importance text, timestamp timestamptz);"
KEYED = "CREATE TABLE metrics (id bigint {}, importance text, timestamp timestamptz);"
NOTHING = "SELECT 1;"
# A type as citext is, with a comparison of its own.
FOLDED = """
    CREATE TYPE folded;
    CREATE FUNCTION folded_in(cstring) RETURNS folded AS 'textin' LANGUAGE internal IMMUTABLE STRICT;
    CREATE FUNCTION folded_out(folded) RETURNS cstring AS 'textout' LANGUAGE internal IMMUTABLE STRICT;
    CREATE TYPE folded (INPUT = folded_in, OUTPUT = folded_out, LIKE = text);
    CREATE CAST (folded AS text) WITHOUT FUNCTION AS IMPLICIT;
    CREATE FUNCTION folded_cmp(folded, folded) RETURNS int LANGUAGE sql IMMUTABLE STRICT
        AS 'SELECT bttextcmp(lower($1::text), lower($2::text))';
    {}
    CREATE OPERATOR CLASS folded_ops DEFAULT FOR TYPE folded USING btree AS OPERATOR 1 <, OPERATOR 2 <=,
        OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 folded_cmp(folded, folded);
    CREATE DOMAIN known AS folded; CREATE DOMAIN wellknown AS known;
    CREATE TABLE metrics (id folded PRIMARY KEY, importance {}, timestamp timestamptz);
""".format(
    "".join(
        f"CREATE FUNCTION folded_{name}(folded, folded) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT"
        f" AS 'SELECT lower($1::text) {sign} lower($2::text)';"
        f"CREATE OPERATOR {sign} (LEFTARG = folded, RIGHTARG = folded, FUNCTION = folded_{name});"
        for name, sign in {"lt": "<", "le": "<=", "eq": "=", "ge": ">=", "gt": ">"}.items()
    ),
    "{}",
)
PATTERN = (
    "CREATE TABLE metrics (id text NOT NULL, importance text, timestamp timestamptz);"
    "CREATE UNIQUE INDEX ON metrics (id text_pattern_ops);"
)
PART = """
    CREATE TABLE whole (id bigint, importance text, timestamp timestamptz) PARTITION BY RANGE (id);
    CREATE TABLE metrics PARTITION OF whole DEFAULT;
"""
TRIGGER = """
    CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
    CREATE TRIGGER audit AFTER DELETE ON metrics FOR EACH ROW EXECUTE FUNCTION f();
"""


def order_of(world):
    with world.database.session() as session:
        pin(session)
        table = read_table(session, world.rule)
    return [column.name for column in table.order], table.index, [column.name for column in table.key]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (NOTHING, "There is no table public.metrics"),
        (KEYED.format(""), "no primary key and no unique index over columns that are NOT NULL"),
        (KEYED.format("UNIQUE"), "no primary key and no unique index"),
        (KEYED.format("") + "CREATE UNIQUE INDEX ON metrics (id) WHERE id > 5;", "no primary key and no unique index"),
        (KEYED.format("PRIMARY KEY DEFERRABLE"), "no primary key and no unique index"),
        (FOLDED.format("folded"), "The key metrics_pkey of public.metrics is of a type whose `=` is an extension's"),
        (PATTERN, "The key metrics_id_idx of public.metrics has an order of its own"),
        (
            PLAIN + "CREATE TABLE notes (metric bigint REFERENCES metrics ON DELETE CASCADE);",
            "refers to public.metrics with ON DELETE CASCADE: rows of another table would go",
        ),
        (
            PLAIN + "CREATE TABLE notes (metric bigint REFERENCES metrics ON DELETE SET NULL);",
            "ON DELETE SET NULL",
        ),
        (
            PLAIN + TRIGGER,
            "The trigger audit of public.metrics acts when a row goes",
        ),
        (
            PLAIN + "CREATE RULE keep AS ON DELETE TO metrics DO INSTEAD NOTHING;",
            "The rule keep of public.metrics acts",
        ),
        (PLAIN + "ALTER TABLE metrics RENAME TO m; CREATE VIEW metrics AS SELECT * FROM m;", "is a view"),
        (PLAIN + "CREATE TABLE heir () INHERITS (metrics);", "has tables that inherit from it"),
        (
            PART,
            "is a partition; name the table",
        ),
        (
            "CREATE TABLE metrics (id bigint PRIMARY KEY, importance text, timestamp text);",
            "is of type text and no time",
        ),
        ("CREATE TABLE metrics (id bigint PRIMARY KEY, timestamp timestamptz);", "has no column importance"),
        (PLAIN + "ALTER TABLE metrics ADD _tdev_digest int;", "has a column _tdev_digest"),
    ],
)
def test_what_cannot_be_cleaned_safely_is_refused_with_the_reason(world, made, said):
    world.sql.execute(made)
    result = world.clean()["retention.metrics"]
    assert result.verdict is Verdict.UNKNOWN
    assert said in result.summary
    assert world.journal == [], "nothing was begun"


def test_a_foreign_table_is_refused(world):
    world.sql.execute(
        "CREATE FOREIGN DATA WRAPPER none; CREATE SERVER far FOREIGN DATA WRAPPER none;"
        "CREATE FOREIGN TABLE metrics (id bigint, importance text, timestamp timestamptz) SERVER far"
    )
    assert "is a foreign table" in world.clean()["retention.metrics"].summary


def test_a_temporary_table_is_not_found(world):
    world.sql.execute("CREATE TEMP TABLE metrics (id bigint PRIMARY KEY, importance text, timestamp timestamptz)")
    (schema,) = world.sql.execute("SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()").fetchone()
    assert "There is no table" in world.clean()["retention.metrics"].summary
    temporary = world.with_(rule=RULE.model_copy(update={"in_schema": schema}))
    assert "is a temporary table" in temporary.clean()[f"retention.{schema}.metrics"].summary


def test_who_does_not_own_the_table_is_told_the_missing_grant(metrics, cluster, database):
    role = f"stranger_{database['dbname']}"
    cluster.create_role(role, member_of=("pg_read_all_data",))
    metrics.sql.execute(f"GRANT CONNECT ON DATABASE {database['dbname']} TO {role}")
    stranger = {**database, **cluster.conninfo(database["dbname"], user=role)}
    result = metrics.with_(database=PostgresSource(facts_of(stranger))).clean()["retention.metrics"]
    assert result.verdict is Verdict.UNKNOWN
    assert "GRANT postgres TO the user of tdev_dba" in result.summary
    assert metrics.count() == 1200


def test_rows_hidden_by_row_security_are_refused(world, cluster, database):
    role = f"owner_{database['dbname']}"
    cluster.create_role(role, member_of=("pg_monitor",))
    world.sql.execute(f"GRANT CONNECT ON DATABASE {database['dbname']} TO {role}")
    world.sql.execute(METRICS + f"ALTER TABLE metrics OWNER TO {role}; ALTER TABLE metrics ENABLE ROW LEVEL SECURITY;")
    world.sql.execute("ALTER TABLE metrics FORCE ROW LEVEL SECURITY")
    own = PostgresSource(facts_of(cluster.conninfo(database["dbname"], user=role)))
    assert "Row security hides rows" in world.with_(database=own).clean()["retention.metrics"].summary


def test_it_is_walked_by_time_where_an_index_begins_with_that_else_by_key(world):
    world.sql.execute(METRICS + "CREATE INDEX ON metrics (name, timestamp); CREATE UNIQUE INDEX ON metrics (name, id);")
    assert order_of(world) == (["id"], "metrics_pkey", ["id"])
    world.sql.execute(INDEX)
    assert order_of(world) == (["timestamp"], "metrics_timestamp_idx", ["id"])


@pytest.mark.parametrize("index", ["timestamp DESC NULLS LAST", "timestamp NULLS FIRST"])
def test_an_index_of_another_order_is_not_walked(world, index):
    world.sql.execute(METRICS + f"CREATE INDEX odd ON metrics ({index});")
    assert order_of(world) == (["id"], "metrics_pkey", ["id"])


@pytest.mark.parametrize("index", ["timestamp DESC", "timestamp, name DESC", "timestamp, name varchar_pattern_ops"])
def test_an_index_that_begins_with_the_time_is_walked_backwards_too(world, index):
    world.sql.execute(METRICS + f"CREATE INDEX odd ON metrics ({index});")
    assert order_of(world) == (["timestamp"], "odd", ["id"])


@pytest.mark.parametrize("index", ["name DESC, id", "name varchar_pattern_ops, id", 'name COLLATE "POSIX", id'])
def test_a_key_of_another_order_tells_rows_apart_and_is_not_walked(world, index):
    world.sql.execute(
        METRICS + f"ALTER TABLE metrics ALTER name SET NOT NULL; CREATE UNIQUE INDEX odd ON metrics ({index});"
    )
    assert order_of(world) == (["id"], "metrics_pkey", ["id"])
    world.sql.execute("ALTER TABLE metrics DROP CONSTRAINT metrics_pkey")
    assert "The key odd of public.metrics has an order of its own" in world.clean()["retention.metrics"].summary
    world.sql.execute(INDEX)
    assert order_of(world) == (["timestamp"], "metrics_timestamp_idx", ["name", "id"])


@pytest.mark.parametrize("kind", ["folded", "wellknown"])
def test_an_exception_is_compared_as_its_columns_own_type_compares(world, kind):
    world.sql.execute(FOLDED.format(kind) + "ALTER TABLE metrics ALTER timestamp SET NOT NULL;")
    world.sql.execute("CREATE UNIQUE INDEX ON metrics (timestamp)")
    world.sql.execute(
        f"INSERT INTO metrics SELECT n::text::folded, (ARRAY['HIGH', 'high', 'normal'])[1 + n % 3]::{kind},"
        " now() - make_interval(days => 40 + n) FROM generate_series(1, 90) AS n"
    )
    assert world.clean()["retention.metrics"].verdict is Verdict.OK
    assert (world.counts["archived"], world.counts["discarded"]) == (27, 30)
    assert world.count("importance::folded = 'High'") == 33
    assert "timestamp" in world.receipt["key"]


def test_a_key_of_an_extensions_type_is_no_obstacle_where_nothing_is_compared_by_it(world):
    world.sql.execute(FOLDED.format("folded") + "CREATE INDEX ON metrics (timestamp)")
    world.sql.execute(
        "INSERT INTO metrics SELECT n::text::folded, 'any', now() - make_interval(days => n) "
        "FROM generate_series(1, 90) AS n"
    )
    assert "is of a type whose `=` is an extension's" in world.clean()["retention.metrics"].summary
    plain = world.with_(rule=RULE.model_copy(update={"exceptions": ()}))
    assert plain.clean()["retention.metrics"].verdict is Verdict.OK
    assert 29 <= world.count() <= 30


def test_a_class_of_operators_that_is_the_usual_one_by_another_name_is_walked(world):
    world.sql.execute(METRICS + "ALTER TABLE metrics ALTER name SET NOT NULL, DROP CONSTRAINT metrics_pkey;")
    world.sql.execute("CREATE UNIQUE INDEX usual ON metrics (name varchar_ops, id)")
    world.sql.execute(ROWS.format("metrics"))
    assert world.clean()["retention.metrics"].verdict is Verdict.OK
    assert order_of(world) == (["name", "id"], "usual", ["name", "id"])


def test_least_privilege_is_membership_in_the_owner(world, cluster, database):
    """No superuser: what docs/privileges.md grants the role of tdev_dba is enough for all of it."""
    owner, role = f"own_{database['dbname']}", f"dba_{database['dbname']}"
    cluster.create_role(owner)
    cluster.create_role(role, member_of=(owner, "pg_monitor", "pg_read_all_data"))
    world.sql.execute(f"GRANT CONNECT ON DATABASE {database['dbname']} TO {role}")
    world.sql.execute(
        METRICS + INDEX + f"; ALTER TABLE metrics OWNER TO {owner}; GRANT CREATE ON SCHEMA public TO {owner};"
    )
    world.sql.execute(ROWS.format("metrics"))
    dba = world.with_(database=PostgresSource(facts_of(cluster.conninfo(database["dbname"], user=role))))
    world.sql.execute("REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC")
    refused = dba.clean()["retention.metrics"]
    assert refused.verdict is Verdict.UNKNOWN
    assert "GRANT USAGE ON LANGUAGE plpgsql TO the user of tdev_dba" in refused.summary
    world.sql.execute("GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC")
    assert dba.clean()["retention.metrics"].verdict is Verdict.OK
    assert world.count() == 360
    assert dba.give_back().verdict is Verdict.OK
