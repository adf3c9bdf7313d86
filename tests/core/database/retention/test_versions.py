"""The same on PostgreSQL 15 of Debian, which has ICU and contrib: types, partitions, resuming."""

import itertools

import psycopg
import pytest

from sandbox.postgres import Cluster
from tdev_operators.core.database.retention.settings import RetentionException, RetentionRule
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.postgres_sessions import PostgresSource
from tests.backup_sets import open_store
from tests.core.database.retention.conftest import INDEX, METRICS, ROWS, World
from tests.core.database.retention.test_faults import heard
from tests.debian import postgres_of_debian
from tests.records import facts_of

ODD = """
    CREATE EXTENSION citext; CREATE EXTENSION hstore;
    CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    CREATE TABLE metrics (word text COLLATE folded NOT NULL, n int NOT NULL, importance citext, labels hstore, page xml,
        at timestamptz NOT NULL, PRIMARY KEY (word, n, at)) PARTITION BY RANGE (at);
    CREATE TABLE old PARTITION OF metrics FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
    CREATE TABLE now PARTITION OF metrics FOR VALUES FROM ('2021-01-01') TO ('2100-01-01');
    CREATE INDEX ON metrics (at);
    INSERT INTO metrics SELECT CASE WHEN n % 2 = 0 THEN 'Straße' ELSE 'STRASSE' END, n,
        CASE WHEN n % 5 = 0 THEN 'high' END, hstore('n', n::text), xmlparse(content '<p>' || n || '</p>'),
        timestamptz '2020-06-01' + make_interval(days => n % 900)
    FROM generate_series(1, 1000) AS n;
"""
_CLUSTERS = itertools.count(1)


@pytest.fixture
def fifteen(supervisor, s3_server, bucket):
    programs = postgres_of_debian()
    cluster = Cluster(supervisor, f"retention-debian-{next(_CLUSTERS)}")
    cluster.binaries = programs
    cluster.start()
    info = cluster.conninfo("postgres")
    with (
        psycopg.connect(**info, autocommit=True) as sql,
        open_store(s3_server.endpoint_url, s3_server.access_key, s3_server.secret_key) as store,
    ):
        yield World(PostgresSource(facts_of(info)), store, bucket, sql)
    cluster.stop()


def test_debians_version_with_types_of_extensions_and_a_collation_that_folds(fifteen):
    fifteen.sql.execute(ODD)
    important = RetentionException(column="importance", value="high", days=90, archive=True)
    rule = RetentionRule(table="metrics", time_column="at", days=30, archive=False, exceptions=(important,))
    world = fifteen.with_(rule=rule, pace={"batch_rows": 100})
    before = dict(fifteen.sql.execute("SELECT n, t::text FROM metrics AS t").fetchall())
    result = world.clean()["retention.metrics"]
    assert result.verdict is Verdict.OK, result.summary
    assert (world.counts["archived"], world.counts["discarded"]) == (200, 800)
    assert world.counts["partitions"] == 1
    assert world.count() == 0
    assert world.give_back().verdict is Verdict.OK
    back = dict(fifteen.sql.execute("SELECT n, t::text FROM metrics_given_back AS t").fetchall())
    assert len(back) == 200
    assert back.items() <= before.items()


def test_whole_pages_in_the_log_are_compressed_where_our_role_may_say_so(fifteen):
    fifteen.sql.execute(METRICS + INDEX)
    fifteen.sql.execute(
        "CREATE ROLE keeper LOGIN PASSWORD 'keeper' IN ROLE pg_monitor; ALTER TABLE metrics OWNER TO keeper"
    )
    info = {**fifteen.sql.info.get_parameters(), "host": "127.0.0.1", "user": "keeper", "password": "keeper"}
    keeper = fifteen.with_(database=PostgresSource(facts_of(info)))
    found = set()

    def look(session, _):
        [now] = session.rows("SELECT current_setting('wal_compression') AS found")
        found.add(now["found"])

    def compressed(*, unpaced=False):
        found.clear()
        fifteen.sql.execute(ROWS.format("metrics"))
        run = keeper.with_(run_id="")
        ports = heard(run, look)
        assert run.clean(ports=ports, unpaced=unpaced)["retention.metrics"].verdict is Verdict.OK
        return found

    assert compressed() == {"off"}
    fifteen.sql.execute("GRANT SET ON PARAMETER wal_compression TO keeper")
    assert compressed() == {"off", "lz4"}
    assert compressed(unpaced=True) == {"off"}
