"""What is measured, on real servers, by a role that only reads."""

import time
from dataclasses import replace
from threading import Thread

import psycopg
import pytest

from tdev_operators.core.database.performance.sampling import take, without_literals
from tdev_operators.core.errors import TdevError


@pytest.fixture(params=["18", "16"])
def analysed(request, cluster, analysed_16, analysed_on):
    return analysed_on(cluster if request.param == "18" else analysed_16)


def facts(analysed, kind):
    return take(analysed.system, analysed.settings).sample(kind).facts


def test_sizes_are_those_of_the_server(analysed):
    analysed.run(
        "CREATE TABLE metrics (id bigint PRIMARY KEY, body text)",
        "INSERT INTO metrics SELECT i, repeat(md5(i::text), 200) FROM generate_series(1, 2000) i",
        "CREATE TABLE parted (at int) PARTITION BY RANGE (at)",
        "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (10) TO (20)",
        "INSERT INTO parted SELECT i % 20 FROM generate_series(1, 5000) i",
        'CREATE SCHEMA "Odd ""one"; CREATE TABLE "Odd ""one"."a.b" AS SELECT 1 AS x',
        "CHECKPOINT",
    )
    found = facts(analysed, "sizes")
    assert set(found["tables"]) == {"public.metrics", "public.parted", '"Odd ""one"."a.b"'}
    assert set(found["indexes"]) == {"public.metrics_pkey"}
    with psycopg.connect(**analysed.cluster.conninfo(analysed.dbname)) as connection:
        whole, own, parts = connection.execute(
            "SELECT pg_total_relation_size('metrics'), pg_indexes_size('metrics'),"
            " pg_relation_size('parted_1') + pg_relation_size('parted_2')"
        ).fetchone()
    table, index = found["tables"]["public.metrics"]
    assert index == own
    assert table == pytest.approx(whole - own, rel=0.1), "without the free space maps"
    assert found["tables"]["public.parted"] == [parts, 0]
    assert found["all_tables"]
    assert found["database_bytes"] > whole


def test_only_the_largest_tables_are_kept(analysed):
    analysed.run(
        *(f"CREATE TABLE t{n} AS SELECT generate_series(1, {n * 500}) AS x" for n in range(1, 14)), "CHECKPOINT"
    )
    analysed.limits = {"kept_tables": 10}
    found = facts(analysed, "sizes")
    assert set(found["tables"]) == {f"public.t{n}" for n in range(4, 14)}
    assert not found["all_tables"]


def test_a_table_that_somebody_locks_holds_nobody_up(analysed):
    analysed.run("CREATE TABLE held AS SELECT generate_series(1, 5000) AS x", "VACUUM held")
    with psycopg.connect(**analysed.cluster.conninfo(analysed.dbname)) as holder:
        holder.execute("LOCK TABLE held IN ACCESS EXCLUSIVE MODE")
        begun = time.monotonic()
        found = facts(analysed, "sizes")
    assert time.monotonic() - begun < 1.5
    assert found["tables"]["public.held"][0] > 100_000, "as of its VACUUM"


def test_activity_has_every_figure_that_is_compared(analysed):
    found = facts(analysed, "activity")
    assert found["connections"] >= 1
    assert found["connections_usable"] == 197
    assert found["wal_bytes"] > 0
    assert [type(figure) for figure in found["checkpoints"]] == [int, int, float]
    assert found["checkpoints_reset"].endswith("+00:00")
    assert len(found["databases"][analysed.dbname]) == 4


def test_buckets_and_disks(analysed):
    found = take(analysed.system, analysed.settings)
    assert set(found.sample("buckets").facts) == {"agents", "checkpoints", "backups"}
    assert found.sample("buckets").facts["agents"] == {"bytes": 3000, "objects": 3}
    assert 0 < found.sample("disks").facts["here:/"] <= 100


def test_a_listing_that_takes_too_long_is_given_up_and_says_so(analysed):
    analysed.limits = {"listing_seconds": 1e-9}
    with pytest.raises(TdevError, match=r"raise performance\.listing_seconds, or set it to 0"):
        take(analysed.system, analysed.settings).sample("buckets")
    analysed.limits = {"listing_seconds": 0}
    assert "buckets" not in take(analysed.system, analysed.settings).samples


def test_without_the_extension_the_sentence_says_what_to_do(cluster, analysed_on, with_statements):
    analysed = analysed_on(cluster)
    with pytest.raises(TdevError, match=r"add pg_stat_statements to shared_preload_libraries .* then run CREATE EXT"):
        facts(analysed, "statements")
    loaded = analysed_on(with_statements)
    with pytest.raises(TdevError, match=rf"statistics: run CREATE EXTENSION pg_stat_statements in {loaded.dbname}\."):
        facts(loaded, "statements")


def test_a_role_that_sees_only_itself_is_told_which_right_is_missing(cluster, analysed_on):
    analysed = analysed_on(cluster)
    with cluster.connect() as connection:
        connection.execute("REVOKE pg_monitor FROM analysis_looker")
    try:
        for kind in ("statements", "sizes", "activity"):
            with pytest.raises(TdevError, match=r"grant it pg_monitor|pg_read_all_settings|permission"):
                facts(analysed, kind)
    finally:
        with cluster.connect() as connection:
            connection.execute("GRANT pg_monitor TO analysis_looker")


def test_statements_are_counted_and_kept_without_their_text(recorded):
    recorded.run("CREATE TABLE t (name text)", *["SELECT count(*) FROM t WHERE name = 'secret-42'"] * 7)
    recorded.run("DO $$ BEGIN PERFORM 'hunter2'; END $$", "CREATE ROLE x_test PASSWORD 'hunter2'", "DROP ROLE x_test")
    taken = take(recorded.system, recorded.settings)
    kept = taken.sample("statements").facts
    (key,) = [key for key, told in taken.told.items() if told.text.startswith("SELECT count(*) FROM t ")]
    assert kept["statements"][key][0] == 7
    assert taken.told[key].role == "postgres"
    assert kept["recorded"] == len(kept["statements"])
    assert kept["floor_ms"] is None
    assert "count(*)" not in str(kept)
    assert not [told for told in taken.told.values() if "hunter2" in told.text or "secret" in told.text]


def test_only_the_most_expensive_statements_are_kept_and_who_spills(recorded):
    recorded.run(*(f"SELECT {chr(44).join(str(1) * n)}" for n in range(1, 32)))
    recorded.run("SET work_mem = '64kB'; SELECT count(*) FROM (SELECT * FROM generate_series(1, 50000) x ORDER BY 1) y")
    recorded.limits = {"kept_statements": 10}
    kept = take(recorded.system, recorded.settings).sample("statements").facts
    assert 10 <= len(kept["statements"]) <= 11
    assert kept["recorded"] > 30
    assert kept["floor_ms"] > 0
    assert max(temp for _, _, temp, _ in kept["statements"].values()) > 100_000


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("SELECT *\n  FROM t WHERE a = $1", "SELECT * FROM t WHERE a = $1"),
        ("ALTER ROLE x PASSWORD 'it''s secret'", "ALTER ROLE x PASSWORD ?"),
        ("ALTER ROLE x PASSWORD 'cut off her", "ALTER ROLE x PASSWORD ?"),
        ("COPY t FROM E'/tmp/a\\'b' WITH (x 12)", "COPY t FROM ? WITH (x ?)"),
        ("DO $body$ secret 'x' $body$ LANGUAGE plpgsql", "DO ? LANGUAGE plpgsql"),
        ("DO $$ never ends", "DO ?"),
        ("SELECT a1, t2.c3, 4.5, 6e7 -- pass=1\n FROM t2 /* token=abc", "SELECT a1, t2.c3, ?, ? FROM t2"),
    ],
)
def test_no_literal_is_shown(text, shown):
    assert without_literals(text) == shown


def test_a_long_statement_is_cut():
    assert len(without_literals("SELECT " + ", ".join(["name"] * 100))) == 200


def test_waiting_for_a_lock_while_sizes_are_read_is_tried_again(cluster, analysed_on):
    analysed = analysed_on(cluster)
    analysed.run("CREATE TABLE busy AS SELECT 1 AS x")
    stop = []

    def lock_again_and_again():
        with psycopg.connect(**cluster.conninfo(analysed.dbname), autocommit=True) as other:
            while not stop:
                other.execute("BEGIN; LOCK TABLE busy IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(0.01); COMMIT")

    thread = Thread(target=lock_again_and_again)
    thread.start()
    try:
        for _ in range(10):
            assert "public.busy" in facts(analysed, "sizes")["tables"]
    finally:
        stop.append(True)
        thread.join()


def test_a_standby_is_not_measured(cluster, analysed_on):
    analysed = analysed_on(cluster)

    class Standby:
        name = "app"

        def rows(self, statement, params=None):
            return [{"in_recovery": True}]

    system = replace(analysed.system, database=Standby())
    for kind in ("statements", "sizes", "activity"):
        with pytest.raises(TdevError, match="app is a standby, whose counters are not the primary's"):
            take(system, analysed.settings).sample(kind)
