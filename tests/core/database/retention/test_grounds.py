"""Retention where it happens in truth: on a disk that fills, and before a standby that lags."""

import threading

import pytest

from tdev_operators.core.errors import BusyError, DiskFullError
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.postgres_sessions import PostgresSource
from tests.backup_sets import open_store
from tests.core.database.retention.conftest import INDEX, METRICS, RULE, World
from tests.records import facts_of

pytestmark = pytest.mark.xdist_group("grounds")
# Half of them are older than 30 days; every hundredth is important and goes at 90, archived.
MANY = """
    INSERT INTO metrics (name, value, importance, labels, timestamp)
    SELECT 'cpu', n, CASE WHEN n % 100 = 0 THEN 'high' ELSE 'normal' END, '{}',
        now() - make_interval(days => CASE WHEN n % 2 = 0 THEN 100 ELSE 1 END, secs => n)
    FROM generate_series(1, 20000) AS n
"""
ARCHIVED, KEPT, ALL = 200, 10_000, 20_000


@pytest.fixture
def many(ground, s3_server, bucket):
    """The table, on the small disk, with more rows than fit into its log when they go."""
    sql = ground.connect()
    sql.execute(METRICS)
    sql.execute(INDEX)
    sql.execute(MANY)
    sql.execute("VACUUM (ANALYZE) metrics")
    sql.execute("CHECKPOINT")
    with open_store(s3_server.endpoint_url, s3_server.access_key, s3_server.secret_key) as store:
        yield World(ground.source, store, bucket, sql, pace={"batch_rows": 1000, "wal_mb_per_second": 1000.0})


def test_a_disk_that_the_log_fills_loses_nothing_and_the_next_try_ends_it(many, ground):
    ground.fill_disk_and_log(leave=256 * 1024)
    with pytest.raises(DiskFullError, match=r"found the disk full .*pg_wal.*No space left on device"):
        many.clean()
    assert many.receipt["balanced"]
    assert "found the disk full" in many.receipt["stopped"]
    written = many.counts["archived"] + many.counts["discarded"]
    ground.disk.clear()
    ground.lives()
    many.sql = ground.connect()
    assert many.count() <= ALL - written
    assert any("more rows may be gone, which the next try counts" in line for line in many.receipt["remarks"])
    assert many.clean()["retention.metrics"].verdict is Verdict.OK
    assert many.count() == KEPT
    assert (many.counts["archived"], many.counts["discarded"]) == (ARCHIVED, ALL - KEPT - ARCHIVED)
    many.give_back(into_table=True)
    assert many.count() == KEPT + ARCHIVED


LAG = {"replica_lag_mb": 0.2, "pause_seconds": 0.5}


def test_a_standby_that_lags_is_waited_for_and_ends_the_run_when_it_does_not_catch_up(many, ground):
    with ground.standby() as standby, standby.connect() as there:
        there.execute("SELECT pg_wal_replay_pause()")
        many = many.with_(pace={**many.pace, **LAG})
        with pytest.raises(BusyError, match=r"The standby walreceiver is [0-9]+ MB behind and does not catch up"):
            many.clean()
        assert "does not catch up" in many.receipt["stopped"]
        left = many.count()
        assert KEPT < left < ALL
        assert left == ALL - many.counts["archived"] - many.counts["discarded"]
        resume = threading.Timer(0.7, there.execute, ["SELECT pg_wal_replay_resume()"])
        resume.start()
        patient = many.with_(pace={**many.pace, "pause_seconds": 30.0})
        assert patient.clean()["retention.metrics"].verdict is Verdict.OK
        assert patient.receipt["pauses"]["replica lag"] >= 1
        resume.join()
    assert many.count() == KEPT
    assert (many.counts["archived"], many.counts["discarded"]) == (ARCHIVED, ALL - KEPT - ARCHIVED)


@pytest.mark.faults
def test_a_slot_that_nobody_reads_ends_the_run_and_is_named(many, record):
    many.sql.execute("SELECT pg_create_physical_replication_slot('gone', true)")
    try:
        with pytest.raises(BusyError, match=r"^The slot gone, which nobody reads, is [0-9]+ MB behind"):
            many.with_(pace={**many.pace, **LAG}).clean()
    finally:
        many.sql.execute("SELECT pg_drop_replication_slot('gone')")
    assert many.clean()["retention.metrics"].verdict is Verdict.OK
    assert many.count() == KEPT
    record("a slot that nobody reads", "retention's removal", "BusyError names it; the retry ends it")


@pytest.mark.faults
def test_a_role_that_cannot_see_how_far_a_standby_is_removes_nothing(many, ground, record):
    many.sql.execute("DROP ROLE IF EXISTS blind; CREATE ROLE blind LOGIN PASSWORD 'blind'")
    many.sql.execute(f"GRANT CONNECT ON DATABASE {ground.name} TO blind; ALTER TABLE metrics OWNER TO blind")
    facts = facts_of({**ground.cluster.conninfo(ground.name), "user": "blind", "password": "blind"})
    blind = many.with_(database=PostgresSource(facts))
    with ground.standby():
        found = blind.clean()["retention.metrics"]
        assert found.verdict is Verdict.UNKNOWN
        assert "GRANT pg_monitor to the user of tdev_dba" in found.summary
        assert many.count() == ALL
        many.sql.execute("GRANT pg_monitor TO blind")
        assert blind.clean()["retention.metrics"].verdict is Verdict.OK
    assert many.count() == KEPT
    record("a role without pg_monitor", "retention before a standby", "UNKNOWN, nothing removed; the retry ends it")


def test_a_prepared_transaction_that_holds_a_row_costs_its_range_only_and_is_named(many):
    many.sql.execute("BEGIN; SELECT 1 FROM metrics WHERE id = 10002 FOR UPDATE; PREPARE TRANSACTION 'forgotten'")
    try:
        found = many.clean()["retention.metrics"]
    finally:
        many.sql.execute("ROLLBACK PREPARED 'forgotten'")
    assert found.verdict is Verdict.UNKNOWN
    [told] = found.coverage.skipped.values()
    assert "the prepared transaction 'forgotten' of postgres, for " in told
    assert KEPT < many.count() <= KEPT + 1000
    assert many.with_(run_id="").clean()["retention.metrics"].verdict is Verdict.OK
    assert many.count() == KEPT


@pytest.mark.faults
def test_a_partition_that_a_prepared_transaction_holds_is_not_detached(many, record):
    columns = "(LIKE metrics_flat INCLUDING DEFAULTS, PRIMARY KEY (id, timestamp)) PARTITION BY RANGE (timestamp)"
    many.sql.execute(f"ALTER TABLE metrics RENAME TO metrics_flat; CREATE TABLE metrics {columns}")
    for name, since, until in (("old", 120, 60), ("young", 60, -1)):
        many.sql.execute(
            f"DO $$ BEGIN EXECUTE format('CREATE TABLE {name} PARTITION OF metrics FOR VALUES FROM (%L) TO (%L)', "
            f"now() - interval '{since} days', now() - interval '{until} days'); END $$"
        )
    many.sql.execute("INSERT INTO metrics SELECT * FROM metrics_flat; CREATE INDEX ON metrics (timestamp)")
    many.sql.execute("BEGIN; SELECT count(*) FROM metrics; PREPARE TRANSACTION 'forgotten'")
    try:
        plain = many.with_(rule=RULE.model_copy(update={"exceptions": ()}))
        found = plain.clean()["retention.metrics"]
        assert "the prepared transaction 'forgotten' of postgres" in "\n".join(found.details)
        attached = "SELECT count(*), bool_or(inhdetachpending) FROM pg_inherits WHERE inhparent = 'metrics'::regclass"
        assert many.sql.execute(attached).fetchone() == (2, False)
    finally:
        many.sql.execute("ROLLBACK PREPARED 'forgotten'")
    assert many.count() == KEPT, "its rows went range by range"
    record("a prepared transaction on a partition", "retention's removal", "named; its rows went range by range")
