"""`tdev init` on a real Airflow metadata database: made once, found again, refused with a sentence."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from sandbox.airflow import Airflow
from sandbox.processes import REPOSITORY
from sandbox.system import Sandbox
from tdev_operators.core.errors import SetupMissingError
from tdev_operators.hooks.dag_calendars import calendars_in


@pytest.fixture(scope="module")
def house():
    with Sandbox.start(scale="small", engine=False) as system:
        airflow = Airflow(system.supervisor, system.control, system.environment)
        airflow.home.mkdir(exist_ok=True)
        airflow.run("db-migrate", "airflow", "db", "migrate")
        yield system, {**airflow.environment, "HOME": str(system.home)}


def init(environment, *options) -> tuple[int, str]:
    ended = subprocess.run(
        [Path(sys.executable).with_name("tdev"), "init", *options],
        env=environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


def query(system, dbname, statement):
    with psycopg.connect(**system.control.conninfo(dbname)) as connection:
        return connection.execute(statement).fetchall()


@pytest.mark.faults
@pytest.mark.xdist_group("airflow-alone")
@pytest.mark.timeout(400)
def test_its_life(house):
    system, environment = house
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(init, environment) for _ in range(2)]
    for status, printed in (each.result() for each in both):
        assert status == 0, printed
    pools = query(system, "airflow", "select pool, slots from slot_pool where pool like 'tdev%' order by pool")
    assert pools == [("tdev_backups", 1), ("tdev_care", 1), ("tdev_checks", 4)]
    assert query(system, "airflow", "select count(*) from ab_role where name in ('engineer', 'team_lead')") == [(2,)]
    assert sorted(query(system, "ledger", "select tier, item, cron from maintenance.calendar")) == [
        ("daily", "backup", "0 21 * * *"),
        ("daily", "backup_verification", "0 22 * * *"),
        ("daily", "certificate_management", "0 17 * * *"),
        ("daily", "evolution_metrics_review", "0 10 * * *"),
        ("daily", "health_check", "0 9 * * *"),
        ("daily", "performance_analysis", "0 14 * * *"),
        ("daily", "security_scan", "0 17 * * *"),
        ("monthly", "capacity_planning", "0 9 1 * *"),
        ("monthly", "compliance_audit", "0 9 2 * *"),
        ("monthly", "dr_drill", "0 8 5,15,25 * *"),
        ("weekly", "agent_optimization", "0 5 * * 3"),
        ("weekly", "database_optimization", "0 4 * * 4"),
        ("weekly", "full_backup", "0 3 * * 1"),
        ("weekly", "metric_cleanup", "30 3 * * 4"),
        ("weekly", "performance_tuning", "0 4 * * 3"),
        ("weekly", "security_audit", "0 4 * * 2"),
    ]

    with psycopg.connect(**system.control.conninfo("airflow"), autocommit=True) as metadata:
        metadata.execute("update slot_pool set slots = 9 where pool = 'tdev_checks'")
    system.api.stop()
    status, printed = init(environment)
    assert status == 1
    assert "FAILED  connection tdev_api: " in printed
    assert printed.count("FAILED") == 1, "the other steps were done all the same"
    assert "schema is up to date" in printed
    assert query(system, "airflow", "select slots from slot_pool where pool = 'tdev_checks'") == [(9,)], (
        "a person's size"
    )
    for word in (system.mail.password, system.api.token, system.objects.secret_key):
        assert word not in printed


def test_a_folder_without_tiers_and_a_broken_file_are_named(tmp_path):
    with pytest.raises(SetupMissingError, match=r"No maintenance tier stands in .*; name the DAG folder with --dags"):
        calendars_in(tmp_path)
    (tmp_path / "tdev_broken.py").write_text("1 / 0")
    with pytest.raises(SetupMissingError, match=r"tdev_broken.py cannot be imported \(division by zero\); mend it"):
        calendars_in(tmp_path)
