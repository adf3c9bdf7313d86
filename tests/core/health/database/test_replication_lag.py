"""database.replication_lag, and every database check on a standby."""

import os
import shutil
import subprocess

import pytest
from psycopg.conninfo import make_conninfo

from sandbox.postgres import UNPRIVILEGED_USER, Cluster
from tdev_operators.core.errors import AccessDeniedError
from tdev_operators.core.health.database import archiver, autovacuum_overdue, dead_tuples, replication_lag
from tdev_operators.core.health.registry import all_checks
from tdev_operators.core.health.run import run_health_check
from tdev_operators.core.setting_types import Ceiling
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.postgres import PostgresDatabase

ONE = {"health.database.expected_replicas": 1}


def test_none_expected_and_none_there(ports, shipped, arena):
    assert replication_lag.check(ports(database=arena.look), shipped).verdict is Verdict.OK


def test_a_missing_standby_is_critical(ports, change, arena):
    result = replication_lag.check(ports(database=arena.look), change({"health.database.expected_replicas": 2}))
    assert result.verdict is Verdict.CRITICAL
    assert "of 2 expected standbys are replicating." in result.summary


def test_a_role_that_sees_only_itself_does_not_judge(ports, shipped, arena):
    with pytest.raises(AccessDeniedError):
        replication_lag.check(ports(database=arena.blind), shipped)


@pytest.fixture(scope="module")
def standby(cluster_18, supervisor):
    """Return a standby that streams from the shared cluster."""
    standby = Cluster(supervisor, "test-standby")
    standby.folder.mkdir()
    primary = cluster_18.conninfo("postgres")
    environment = {**os.environ, "PGPASSWORD": primary["password"]}
    argv = [standby.binaries / "pg_basebackup", "-h", primary["host"], "-p", str(primary["port"]), "-U", "postgres"]
    subprocess.run([*argv, "-D", standby.data, "-R", "-c", "fast"], check=True, env=environment, capture_output=True)
    if os.geteuid() == 0:
        for path in (standby.folder, *standby.folder.rglob("*")):
            shutil.chown(path, UNPRIVILEGED_USER)
    standby._passwords.update(cluster_18._passwords)
    yield standby.start()
    standby.stop()


@pytest.fixture
def replica(standby, arena, until):
    """Return the arena as the standby sees it."""
    from dataclasses import replace

    info = standby.conninfo(arena.dbname, user="health_looker")
    facts = replace(arena.look._facts, port=info["port"])
    look = type(arena.look)(facts)

    def replayed():
        lag = "SELECT count(*) AS n FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_insert_lsn()"
        return arena.look.rows(lag)[0]["n"]

    until(replayed)
    return replace(arena, look=look)


def test_a_standby_that_keeps_up(ports, change, arena, replica):
    result = replication_lag.check(ports(database=arena.look), change(ONE))
    assert result.verdict is Verdict.OK
    assert result.summary.startswith("1 standbys are replicating")


def test_a_standby_that_falls_behind(ports, change, arena, replica, standby, until):
    settings = change({**ONE, "health.database.replication_lag_mb": Ceiling(warning=0.001, critical=0.001)})
    with standby.connect() as connection:
        connection.execute("SELECT pg_wal_replay_pause()")
        try:
            until(lambda: connection.execute("SELECT pg_get_wal_replay_pause_state()").fetchone() == ("paused",))
            arena.run("CREATE TABLE t AS SELECT generate_series(1, 10000) AS a")
            for side in (arena, replica):
                until(lambda look=side.look: _lag(ports(database=look), settings) is Verdict.CRITICAL)
            on_primary = replication_lag.check(ports(database=arena.look), settings)
        finally:
            connection.execute("SELECT pg_wal_replay_resume()")
    assert on_primary.verdict is Verdict.CRITICAL
    assert "standby walreceiver is" in on_primary.summary


@pytest.fixture
def subscribed(supervisor, until):
    """Return a database of a cluster of its own, to whose logical changes somebody subscribed."""
    cluster = Cluster(supervisor, "test-logical", settings={"wal_level": "logical"}).start()
    info = cluster.conninfo()
    where = {"host": info["host"], "port": info["port"], "login": info["user"], "password": info["password"]}
    look = PostgresDatabase(ConnectionFacts("tdev_postgres", conn_type="postgres", schema="postgres", **where))
    cluster.create_database("reader")
    with cluster.connect() as connection:
        connection.execute("CREATE PUBLICATION everything FOR ALL TABLES")
        connection.execute("SELECT pg_create_logical_replication_slot('reader', 'pgoutput')")
    with cluster.connect("reader") as connection:  # in one cluster the slot must be there before
        connection.execute(
            f"CREATE SUBSCRIPTION reader CONNECTION '{make_conninfo(**info)}' PUBLICATION everything "
            "WITH (create_slot = false)"
        )
    until(lambda: look.rows("SELECT 1 FROM pg_stat_replication WHERE replay_lsn IS NOT NULL"))
    yield look
    cluster.stop()


def test_who_reads_logical_changes_is_no_standby(ports, change, subscribed):
    result = replication_lag.check(ports(database=subscribed), change(ONE))
    assert result.verdict is Verdict.CRITICAL
    assert "0 of 1 expected standbys" in result.summary


def _lag(system, settings):
    return replication_lag.check(system, settings).verdict


def test_a_standby_looked_at_itself(ports, shipped, replica):
    result = replication_lag.check(ports(database=replica.look), shipped)
    assert result.verdict is Verdict.OK
    assert "is a standby, 0.0 MB" in result.summary


def test_every_database_check_is_sensible_on_a_standby(ports, shipped, replica):
    checks = [check for check in all_checks() if check.name.startswith("database.")]
    outcome = run_health_check(ports(database=replica.look), shipped, checks=checks)
    results = {result.check: result for result in outcome.results}
    assert not [result.summary for result in outcome.results if "Could not look" in result.summary]
    unknown = {name for name, result in results.items() if result.verdict is Verdict.UNKNOWN}
    assert {"database.dead_tuples", "database.autovacuum_overdue"} <= unknown
    assert unknown <= {"database.dead_tuples", "database.autovacuum_overdue", "database.cache_hit_ratio"}
    assert "standby" in results["database.dead_tuples"].summary


def test_table_statistics_of_a_standby_are_unknown(ports, shipped, replica, patched):
    for check in (dead_tuples.check, autovacuum_overdue.check):
        assert "live on its primary" in check(ports(database=replica.look), shipped).summary
    archiving = patched(replica.look, {"archived_count": {"configured": True, "mode": "on"}})
    assert archiver.check(ports(database=archiving), shipped).verdict is Verdict.UNKNOWN
