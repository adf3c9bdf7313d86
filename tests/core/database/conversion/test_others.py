"""What others did before, do meanwhile, or have changed since: nobody is misled, kept waiting, or in the way."""

import threading
import time

import psycopg
import pytest

from sandbox.postgres import Cluster
from tdev_operators.core.database.conversion import statements
from tdev_operators.core.database.retention import partitions
from tdev_operators.core.errors import BusyError
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.postgres_sessions import PostgresSource
from tests.backup_sets import open_store
from tests.core.database.conversion.conftest import PARTITIONS, Conversion
from tests.core.database.retention.conftest import METRICS, RULE
from tests.records import facts_of


def test_who_began_before_the_copy_is_waited_for(metrics, elsewhere):
    pace = metrics.settings.retention.pace.model_copy(update={"pause_seconds": 1})
    hurried = metrics.with_(changes={"pace": pace, "tries": 1})
    early = elsewhere()
    early.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    early.execute("SELECT 1")
    with pytest.raises(BusyError, match="sees the tables as they were before"):
        hurried.carry_out()
    assert early.execute("SELECT count(*) FROM metrics").fetchone() == (1200,)
    early.execute("COMMIT")
    assert hurried.carry_out().verdict is Verdict.OK


def test_a_snapshot_of_the_very_moment_does_not_see_it(metrics, elsewhere):
    with metrics.database.session() as exchanging, metrics.database.session() as looking:
        exchanging.rows("BEGIN")
        [own] = exchanging.rows(load_sql("retention/own_transaction"))
        other = elsewhere()
        other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        other.execute("SELECT 1")
        exchanging.rows("COMMIT")
        assert looking.rows(load_sql("conversion/older_snapshots"), {"xid": own["xid"]})
        other.execute("COMMIT")
        assert not looking.rows(load_sql("conversion/older_snapshots"), {"xid": own["xid"]})


def test_a_bulk_that_comes_last_is_not_followed_while_everybody_waits(metrics, elsewhere, monkeypatch):
    locking, followed, other = statements.locking, [], elsewhere()

    def lock(schema, *tables):
        if any(event == "partition_switch_intended" for event, _ in metrics.journal):
            if not followed:
                other.execute("INSERT INTO metrics (name, value) SELECT 'x', n FROM generate_series(1, 2000) AS n")
            followed.append(tables)
        return locking(schema, *tables)

    monkeypatch.setattr(statements, "locking", lock)
    assert metrics.carry_out().verdict is Verdict.OK
    assert len(followed) == 2, "the first try gave way and followed it"
    assert followed[0] == ("metrics_partitioned", "metrics"), "last what the application waits for"
    assert metrics.one("SELECT count(*) FROM metrics") == 3200


def test_rights_that_were_passed_on_and_an_index_that_was_dropped_do_not_keep_it_from_going_back(metrics, elsewhere):
    metrics.sql.execute("""
        DROP ROLE IF EXISTS passes_on; DROP ROLE IF EXISTS was_given; CREATE ROLE passes_on; CREATE ROLE was_given;
        GRANT SELECT ON metrics TO passes_on WITH GRANT OPTION
    """)
    try:
        other = elsewhere()
        other.execute("SET ROLE passes_on")
        other.execute("GRANT SELECT ON metrics TO was_given")
        metrics.carry_out()
        metrics.sql.execute("DROP INDEX metrics_timestamp_idx; CREATE INDEX since ON metrics (value)")
        assert any("the index since was made since" in line for line in metrics.look("undo").lines)
        assert metrics.carry_out("undo").verdict is Verdict.OK
        assert metrics.one("SELECT has_table_privilege('was_given', 'metrics', 'SELECT')")
    finally:
        metrics.sql.execute("DROP OWNED BY passes_on, was_given CASCADE; DROP ROLE passes_on, was_given")


def test_a_cleanup_gives_way_before_the_application_is_ended_as_a_deadlocks_victim(metrics, elsewhere, monkeypatch):
    """Who writes by id alone locks every partition, from the table down; a detachment beside a DEFAULT goes up."""
    weekly = metrics.weekly.with_(changes={"lock_timeout_ms": 1000, "tries": 1})
    weekly.carry_out()
    writer, failed, looks, stays = elsewhere(), [], [], partitions._stays

    def lock_all():
        try:
            writer.execute("BEGIN")
            writer.execute("LOCK TABLE metrics IN ROW EXCLUSIVE MODE")
        except psycopg.Error as error:
            failed.append(error)
        writer.execute("ROLLBACK")

    application = threading.Thread(target=lock_all)

    def stays_while_the_application_waits(now):
        looks.append(now)
        if len(looks) == 2:  # the first look was without a lock
            application.start()
            time.sleep(0.3)
        return stays(now)

    monkeypatch.setattr(partitions, "_stays", stays_while_the_application_waits)
    assert weekly.clean()["retention.metrics"].verdict is Verdict.OK
    application.join()
    assert failed == []


def test_what_is_made_is_nobody_elses_whatever_default_privileges_say(metrics):
    metrics.sql.execute("""
        DO $$ BEGIN CREATE ROLE stranger; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
        ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO stranger
    """)
    try:
        metrics.carry_out()
        open_to_him = (
            "SELECT coalesce(array_agg(relname::text), '{}') FROM pg_class WHERE relkind IN ('r', 'p')"
            " AND relname ~ '^metrics' AND relname <> 'metrics_before_partitions'"
            " AND has_table_privilege('stranger', oid, 'SELECT, DELETE')"
        )
        assert metrics.one(open_to_him) == []
    finally:
        metrics.sql.execute("ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM stranger; DROP OWNED BY stranger")


def test_a_table_that_a_subscription_fills_is_refused(supervisor, s3_server, bucket):
    cluster = Cluster(supervisor, "subscribed", settings={"wal_level": "logical"}).start()
    for name in ("publisher", "subscriber"):
        cluster.create_database(name)
    with cluster.connect("publisher") as publisher, cluster.connect("subscriber") as sql:
        for each in (publisher, sql):
            each.execute(METRICS)
        publisher.execute("CREATE PUBLICATION m FOR TABLE metrics")
        publisher.execute("SELECT pg_create_logical_replication_slot('m', 'pgoutput')")
        reached = " ".join(f"{key}={value}" for key, value in cluster.conninfo("publisher").items())
        sql.execute(f"CREATE SUBSCRIPTION m CONNECTION '{reached}' PUBLICATION m WITH (create_slot = false)")
        with open_store(s3_server.endpoint_url, s3_server.access_key, s3_server.secret_key) as store:
            rule = RULE.model_copy(update={"partitions": PARTITIONS})
            world = Conversion(PostgresSource(facts_of(cluster.conninfo("subscriber"))), store, bucket, sql, rule=rule)
            assert any("the subscription m" in str(why) for why in world.look().refused)
        sql.execute("ALTER SUBSCRIPTION m DISABLE")
        deadline = time.monotonic() + 30
        while publisher.execute("SELECT bool_or(active) FROM pg_replication_slots").fetchone()[0]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        sql.execute("ALTER SUBSCRIPTION m SET (slot_name = NONE); DROP SUBSCRIPTION m")
    cluster.stop()
