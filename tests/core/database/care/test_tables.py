"""VACUUM and ANALYZE on real servers: done is what the server wrote down."""

import threading
import time

import pytest

from tdev_operators.core.database.care.budget import Budget
from tdev_operators.core.database.care.horizon import holders, horizon_result
from tdev_operators.core.database.care.needs import plan
from tdev_operators.core.database.care.tables import Fate, care_for, survey
from tdev_operators.hooks.postgres_sessions import PostgresSource
from tests.records import facts_of

FLUSH = "SELECT pg_stat_force_next_flush()"


@pytest.fixture
def limits(changed):
    def make(**values):
        quick = {"always_analyze": (), "dead_minimum": 10, "cost_delay_ms": 0.0, "workers": 1}
        return changed(care={**quick, **values}).care

    return make


def dead_table(sql, name="t", rows=1000):
    sql.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, x text) WITH (autovacuum_enabled = off)")
    sql.execute(f"INSERT INTO {name} SELECT i, 'x' FROM generate_series(1, {rows}) AS i")
    sql.execute(f"ANALYZE {name}")
    sql.execute(f"DELETE FROM {name} WHERE id % 2 = 0")
    sql.execute(FLUSH)


def ours(session, limits):
    """The tables that a test made: a superuser may care for the server's own too, which other tests leave dirty."""
    return [one for one in survey(session, limits).tables if one.schema_name != "pg_catalog"]


def cared_for(source, limits, seconds=60.0, hook=lambda: None):
    with source.session() as session:
        works = plan(ours(session, limits), limits, 1.0)
    hook()
    told = []
    done = care_for(source, works, limits, Budget(seconds), check=lambda: None, progress=told.append)
    return {one.work.table.name: one for one in done}, told


def test_dead_rows_go_and_the_server_says_so(sql, source, limits):
    dead_table(sql)
    done, told = cared_for(source, limits())
    assert done["t"].fate is Fate.DONE
    assert done["t"].dead_left == 0
    assert told == [f"1 of 1: {done['t'].line}"]
    assert "500 dead rows (33 %)" in told[0]
    assert "500 -> 0 dead rows" in told[0]
    with source.session() as session:
        assert ours(session, limits()) == []


def test_odd_names_other_schemas_partitions_and_matviews(sql, source, limits):
    sql.execute('CREATE SCHEMA "Odd.schema"')
    dead_table(sql, '"Odd.schema"."say ""hi"""')
    sql.execute("CREATE TABLE parts (at int) PARTITION BY RANGE (at)")
    sql.execute("CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (100)")
    sql.execute("CREATE MATERIALIZED VIEW seen AS SELECT i FROM generate_series(1, 100) AS i")
    done, _ = cared_for(source, limits(always_analyze=("parts", "seen")))
    assert {name: one.fate for name, one in done.items()} == {
        'Odd.schema.say "hi"': Fate.DONE,
        "parts": Fate.DONE,
        "seen": Fate.DONE,
    }


def test_only_changed_rows_are_only_analyzed(sql, source, limits):
    dead_table(sql)
    sql.execute("VACUUM t")
    done, _ = cared_for(source, limits(changed_minimum=1))
    assert done["t"].work.text == 'ANALYZE (SKIP_LOCKED) "public"."t";'
    assert done["t"].fate is Fate.DONE


def test_a_locked_table_is_left_out_and_the_holder_named(sql, source, limits, elsewhere):
    dead_table(sql)
    other = elsewhere()
    other.execute("SET application_name = 'night-job'; BEGIN; LOCK TABLE t IN SHARE MODE")
    done, _ = cared_for(source, limits())
    assert done["t"].fate is Fate.LOCKED
    assert "(night-job) has a lock on it" in done["t"].why
    assert sql.execute("SELECT last_vacuum FROM pg_stat_all_tables WHERE relname = 't'").fetchone() == (None,)


def test_a_table_that_was_locked_at_first_is_tried_again(sql, source, limits, elsewhere):
    dead_table(sql, "first", rows=2000)
    dead_table(sql, "second")
    other = elsewhere()
    other.execute("BEGIN; LOCK TABLE first IN SHARE MODE")
    with source.session() as session:
        works = plan(ours(session, limits()), limits(), 1.0, ("first", "second"))
    told = []

    def note(line):
        told.append(line)
        other.execute("ROLLBACK")

    done = care_for(source, works, limits(), Budget(60.0), check=lambda: None, progress=note)
    assert [one.fate for one in done] == [Fate.DONE, Fate.DONE]
    assert told[0].startswith("1 of 2: second")


def test_a_role_that_does_not_own_it_does_nothing_and_says_so(sql, source, limits, cluster, database):
    dead_table(sql)
    sql.execute("DROP ROLE IF EXISTS guest_of_care; CREATE ROLE guest_of_care LOGIN PASSWORD 'guest'")
    sql.execute(f"GRANT CONNECT ON DATABASE {database['dbname']} TO guest_of_care")
    guest = PostgresSource(facts_of({**database, "user": "guest_of_care", "password": "guest"}))
    done, _ = cared_for(guest, limits())
    assert (done["t"].fate, done["t"].why) == (Fate.REFUSED, "it belongs to postgres")


def test_a_table_that_is_dropped_meanwhile_is_no_failure(sql, source, limits):
    dead_table(sql)
    done, _ = cared_for(source, limits(), hook=lambda: sql.execute("DROP TABLE t"))
    assert done["t"].fate is Fate.GONE


def test_what_does_not_fit_into_the_time_is_not_begun(sql, source, limits):
    dead_table(sql)
    done, _ = cared_for(source, limits(), seconds=0.0)
    assert done["t"].fate is Fate.NO_TIME


def test_a_vacuum_that_takes_too_long_is_cancelled_and_said_to_be_unfinished(sql, source, limits, monkeypatch):
    dead_table(sql, rows=20_000)
    monkeypatch.setattr("tdev_operators.core.database.care.budget._LEAST_SECONDS", 0.3)
    done, _ = cared_for(source, limits(cost_delay_ms=100.0, cost_limit=1), seconds=0.2)
    assert done["t"].fate is Fate.TOO_LONG


def test_who_holds_the_horizon_is_named(sql, source, limits, elsewhere):
    sql.execute("CREATE TABLE other (x int)")
    holder = elsewhere()
    holder.execute("SET application_name = 'forgotten'")
    holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    holder.execute("SELECT count(*) FROM other")
    dead_table(sql)
    done, _ = cared_for(source, limits())
    assert done["t"].fate is Fate.DONE
    assert done["t"].dead_left == 500
    with source.session() as session:
        found = holders(session)
    named = [one for one in found if "(forgotten)" in one.name]
    assert named
    result = horizon_result(named, at_most=1, tool="", sees_all=True)
    assert result.verdict == "WARNING"
    assert "(forgotten)" in result.summary
    assert horizon_result(named, at_most=1_000_000, tool="", sees_all=True).verdict == "OK"
    assert horizon_result((), at_most=1_000_000, tool="", sees_all=False).verdict == "UNKNOWN"


def test_freezing_makes_a_table_young(sql, source, limits):
    dead_table(sql, rows=50)
    before = sql.execute("SELECT age(relfrozenxid) FROM pg_class WHERE relname = 't'").fetchone()
    for _ in range(20):
        sql.execute("SELECT pg_current_xact_id()")
    done, _ = cared_for(source, limits(dead_minimum=10_000, freeze_percent=0.0))
    assert done["t"].work.freeze
    after = sql.execute("SELECT age(relfrozenxid) FROM pg_class WHERE relname = 't'").fetchone()
    assert after < before


def test_the_table_of_statistics_is_not_analyzed(sql, source, limits):
    for number in range(100):
        sql.execute(f"CREATE TABLE t{number} AS SELECT i, i AS j, 'x' AS k FROM generate_series(1, 100) AS i")
    sql.execute("ANALYZE; SELECT pg_stat_force_next_flush()")
    with source.session() as session:
        found = survey(session, limits(changed_minimum=1))
    named = {one.table_name: one for one in found.tables}
    assert "pg_attribute" in named
    assert "pg_statistic" not in named or not named["pg_statistic"].is_changed


def test_a_name_of_the_settings_that_is_no_table_is_told(sql, source, limits):
    sql.execute("CREATE TABLE t (x int); CREATE VIEW seen AS SELECT x FROM t")
    with source.session() as session:
        found = survey(session, limits(always_analyze=("t", "nowhere.t", "agents", "seen")))
    assert found.missing == ("agents", "nowhere.t", "seen")
    assert [one.name for one in found.tables if one.always] == ["t"]


def test_postgresql_15_is_surveyed_and_cared_for_as_well(modern_database, limits):
    import psycopg

    with psycopg.connect(**modern_database, autocommit=True) as sql:
        dead_table(sql)
        done, _ = cared_for(PostgresSource(facts_of(modern_database)), limits())
    assert done["t"].fate is Fate.DONE


def test_a_partitioned_table_is_analyzed_when_its_partitions_changed(sql, source, limits):
    sql.execute("CREATE TABLE parts (at int) PARTITION BY RANGE (at)")
    sql.execute("CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (100000)")
    sql.execute("INSERT INTO parts SELECT i FROM generate_series(1, 5000) AS i; SELECT pg_stat_force_next_flush()")
    done, _ = cared_for(source, limits())
    assert {name: one.fate for name, one in done.items()} == {"part": Fate.DONE, "parts": Fate.DONE}
    assert sql.execute("SELECT count(*) FROM pg_stats WHERE tablename = 'parts'").fetchone() == (1,)
    with source.session() as session:
        assert ours(session, limits()) == []
    sql.execute("INSERT INTO parts SELECT i FROM generate_series(1, 9000) AS i; SELECT pg_stat_force_next_flush()")
    with source.session() as session:
        assert sorted(one.name for one in ours(session, limits())) == ["part", "parts"]


def test_a_table_that_stays_old_is_not_called_frozen(sql, source, limits, elsewhere):
    dead_table(sql, rows=50)
    holder = elsewhere()
    holder.execute("SET application_name = 'forgotten'; BEGIN ISOLATION LEVEL REPEATABLE READ")
    holder.execute("SELECT count(*) FROM pg_class")
    for _ in range(50):
        sql.execute("SELECT pg_current_xact_id()")
    sql.execute("VACUUM (FREEZE) t")
    done, _ = cared_for(source, limits(dead_minimum=10_000, freeze_percent=0.0))
    assert done["t"].fate is Fate.OLD
    assert "still old: its age is" in done["t"].line


def test_it_gives_way_to_somebody_who_wants_the_table_and_is_tried_again(sql, source, limits, elsewhere):
    dead_table(sql, rows=60_000)
    waiter, began, took = elsewhere(), threading.Event(), []
    waiter.execute("SET application_name = 'deploy'")

    def alter():
        began.wait(30)
        while not sql.execute("SELECT 1 FROM pg_stat_progress_vacuum").fetchall():
            time.sleep(0.01)
        start = time.monotonic()
        waiter.execute("ALTER TABLE t ADD COLUMN y int")
        took.append(time.monotonic() - start)

    thread = threading.Thread(target=alter)
    thread.start()
    figures = limits(cost_delay_ms=100.0, cost_limit=10, yield_seconds=1.0)
    done, _ = cared_for(source, figures, hook=began.set)
    thread.join(30)
    assert took[0] < 6
    assert done["t"].fate is Fate.DONE
    assert done["t"].seconds > took[0], "it takes longer than anybody had to wait"
