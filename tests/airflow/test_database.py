"""The database's care in a real Airflow: a bloated index is found, rebuilt and told, after a dry run that said so."""

import psycopg
import pytest

from tests.airflow.test_backup import run, verdicts

WEEKLY = "tdev_weekly"


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


@pytest.mark.timeout(900)
def test_a_dry_run_says_it_and_the_run_does_it(bloated):
    before = size(bloated)
    state, _, reports = run(bloated, "database_optimization", dag=WEEKLY, conf={"care_dry_run": True})
    lines = details(reports["database_optimization"], "care.dry_run")
    assert state == "success", reports["database_optimization"]["headline"]
    assert lines[0] == 'DROP INDEX CONCURRENTLY "public"."bloated_id_ccnew";'
    assert any(line.startswith("VACUUM (") and '"public"."bloated";' in line for line in lines)
    assert any(line.startswith('REINDEX INDEX CONCURRENTLY "public"."bloated_id";') for line in lines)
    assert size(bloated) == before

    state, run_id, reports = run(bloated, "database_optimization", dag=WEEKLY)
    report = reports["database_optimization"]
    assert state == "success", report["headline"]
    assert {verdicts(report)[f"care.{name}"] for name in ("tables", "indexes", "leftovers", "horizon")} == {"OK"}
    assert size(bloated) < before / 10
    assert any("bloated: " in line and "vacuumed" in line for line in details(report, "care.tables"))
    assert any("bloated_id: " in line and "rebuilt in" in line for line in details(report, "care.indexes"))
    assert details(report, "care.leftovers")[0].startswith("dropped bloated_id_ccnew")
    log = bloated.airflow.task_log(run_id, "database_optimization.optimize")
    assert "rebuilding bloated_id" in log, "its progress is told"
