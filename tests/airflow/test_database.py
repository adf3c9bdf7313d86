"""The database's care in a real Airflow: old rows go and come back, a bloated index is rebuilt, after a dry run."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.airflow.humans import answer, wait_until_asked
from tests.airflow.test_backup import run, verdicts
from tests.airflow.test_recovery import failures, results, start

YESTERDAY = datetime.now(UTC) - timedelta(days=1)
WEEKLY, RESTORE = "tdev_weekly", "tdev_restore_metrics"


@pytest.fixture
def bloated(house):
    """The sandbox's database with a table of which most rows are gone, and what a dead rebuild left."""
    house.system.mend()
    with house.system.database() as sql:
        sql.execute("SET ROLE t_developer; CREATE TABLE bloated (id int, x text) WITH (autovacuum_enabled = off)")
        sql.execute("INSERT INTO bloated SELECT i, 'x' FROM generate_series(1, 600000) AS i")
        sql.execute("CREATE INDEX bloated_id ON bloated (id)")
        sql.execute("DELETE FROM bloated WHERE id % 20 <> 0; ANALYZE bloated; RESET ROLE")
        with house.system.database() as other:
            other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM agents")
            sql.execute("SET lock_timeout = '300ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                sql.execute("REINDEX INDEX CONCURRENTLY bloated_id")
        sql.execute("SELECT pg_stat_force_next_flush()")
    yield house
    with house.system.database() as sql:
        sql.execute("DROP TABLE bloated")


def details(report, check):
    return next(one["result"]["details"] for one in report["findings"] if one["result"]["check"] == check)


def size(house):
    with house.system.database() as sql:
        return sql.execute("SELECT pg_relation_size('bloated_id')").fetchone()[0]


def metrics(house):
    with house.system.database() as sql:
        # The application goes on writing, and the day before goes on, too.
        return sql.execute(
            "SELECT count(*), count(*) FILTER (WHERE importance = 'high') FROM metrics WHERE timestamp < %s",
            (YESTERDAY,),
        ).fetchone()


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_a_dry_run_says_it_the_run_does_it_and_what_was_archived_comes_back(bloated):
    house = bloated
    before, rows = size(house), metrics(house)
    items = ("metric_cleanup", "database_optimization")
    state, _, reports = run(house, *items, dag=WEEKLY, conf={"care_dry_run": True})
    assert state == "success", [report["headline"] for report in reports.values()]
    lines = details(reports["database_optimization"], "care.dry_run")
    assert lines[0] == 'DROP INDEX CONCURRENTLY "public"."bloated_id_ccnew";'
    assert any(line.startswith("VACUUM (") and '"public"."bloated";' in line for line in lines)
    assert any(line.startswith('REINDEX INDEX CONCURRENTLY "public"."bloated_id";') for line in lines)
    assert any(line.startswith("DELETE FROM") for line in details(reports["metric_cleanup"], "retention.metrics"))
    assert (size(house), metrics(house)) == (before, rows)

    state, run_id, reports = run(house, *items, dag=WEEKLY)
    assert state == "success", [report["headline"] for report in reports.values()]
    report = reports["database_optimization"]
    assert {verdicts(report)[f"care.{name}"] for name in ("tables", "indexes", "leftovers", "horizon")} == {"OK"}
    assert size(house) < before / 10
    assert any("bloated: " in line and "vacuumed" in line for line in details(report, "care.tables"))
    assert any("bloated_id: " in line and "rebuilt in" in line for line in details(report, "care.indexes"))
    assert details(report, "care.leftovers")[0].startswith("dropped bloated_id_ccnew")
    log = house.airflow.task_log(run_id, "database_optimization.optimize")
    assert "rebuilding bloated_id" in log, "its progress is told"
    assert verdicts(reports["metric_cleanup"])["retention.conservation"] == "OK"
    assert metrics(house)[1] < rows[1]

    archive = house.airflow.xcom(WEEKLY, run_id, "metric_cleanup.clean")["retention_id"]
    for user in ("engineer", "viewer"):
        assert start(house, RESTORE, {"archive": archive}, user=user)[0] == 403
    status, back = start(house, RESTORE, {"archive": archive, "into": "into the table"})
    assert status == 200
    wait_until_asked(house, RESTORE, back, "restore_metrics.approve")
    assert answer(house, RESTORE, back, "restore_metrics.approve", user="lead") == 403, "who asked does not approve"
    assert answer(house, RESTORE, back, "restore_metrics.approve", user="deputy") == 200
    assert house.airflow.wait_for_run(RESTORE, back) == "success", failures(house, RESTORE, back)
    assert results(house, RESTORE, back, "restore_metrics")["retention.given_back"]["verdict"] == "OK"
    assert metrics(house)[1] == rows[1], "every important row is there again"
