"""Tuning in a real Airflow: the weekly look, a dry run, what a lead applies and another approves, and the way back."""

import pytest

from tests.airflow.humans import answer, wait_until_asked
from tests.airflow.test_recovery import failures, results, start

DAG, GROUP = "tdev_apply_tuning", "apply_tuning"


@pytest.fixture
def untuned(house):
    """The database's own settings again, afterwards."""
    yield house
    with house.system.source.connect() as sql:
        sql.execute("ALTER SYSTEM RESET ALL")
        sql.execute("SELECT pg_reload_conf()")
    with house.system.database() as sql:
        sql.execute("UPDATE evolution_state SET config = DEFAULT")
    house.system.source.restart()


def running(house, name):
    with house.system.source.connect() as sql:
        return sql.execute("SELECT current_setting(%s)", (name,)).fetchone()[0]


def weekly(house):
    run_id = house.airflow.trigger("tdev_weekly", {"items": ["performance_tuning"]})
    state = house.airflow.wait_for_run("tdev_weekly", run_id)
    return state, results(house, "tdev_weekly", run_id, "performance_tuning")


def applied(house, conf, *, approve=False):
    status, run_id = start(house, DAG, conf)
    assert status == 200
    if approve:
        wait_until_asked(house, DAG, run_id, f"{GROUP}.approve")
        assert answer(house, DAG, run_id, f"{GROUP}.approve", user="lead") == 403, "who asked does not approve"
        assert answer(house, DAG, run_id, f"{GROUP}.approve", user="deputy") == 200
    state = house.airflow.wait_for_run(DAG, run_id)
    found = results(house, DAG, run_id, GROUP)["tuning.applied"]
    assert state == "success", failures(house, DAG, run_id)
    assert found["verdict"] == "OK"
    return found


@pytest.mark.faults
def test_drift_is_found_applied_measured_and_taken_back(untuned):
    house = untuned
    state, found = weekly(house)
    assert state == "success", "drift is a warning"
    assert found["tuning.database"]["verdict"] == "WARNING"
    assert "work_mem is 4MB and not the recommended 16MB." in found["tuning.database"]["summary"]
    assert found["tuning.application"]["summary"] == "cache_ttl is 60 and not the recommended 300."
    assert {found[name]["verdict"] for name in ("tuning.file_errors", "tuning.pools", "tuning.effect")} == {"OK"}

    for user in ("engineer", "viewer"):
        assert start(house, DAG, user=user)[0] == 403
    dry = applied(house, {"restart": True, "application": True, "now": True})
    assert any(line.startswith('ALTER SYSTEM SET "shared_buffers"') for line in dry["details"])
    assert running(house, "work_mem") == "4MB"

    real = {"dry_run": False, "restart": True, "application": True, "now": True}
    done = applied(house, real, approve=True)
    assert "are in force, proven; asked for by lead, approved by deputy." in done["summary"]
    assert [running(house, name) for name in ("work_mem", "shared_buffers")] == ["16MB", "160MB"]
    state, found = weekly(house)
    assert state == "success"
    assert (found["tuning.database"]["verdict"], found["tuning.application"]["verdict"]) == ("OK", "OK")
    assert "not enough time yet" in found["tuning.effect"]["summary"]

    name = done["hint"].rpartition("= ")[2].rstrip(".")
    applied(house, {"dry_run": False, "undo": name, "now": True}, approve=True)
    assert [running(house, name) for name in ("work_mem", "shared_buffers")] == ["4MB", "128MB"]


@pytest.mark.faults
def test_a_rejected_restart_touches_nothing_and_says_so(untuned):
    house = untuned
    _, run_id = start(house, DAG, {"dry_run": False, "reload": True, "restart": True, "now": True})
    wait_until_asked(house, DAG, run_id, f"{GROUP}.approve")
    assert answer(house, DAG, run_id, f"{GROUP}.approve", "Reject", user="director") == 200
    assert house.airflow.wait_for_run(DAG, run_id) == "failed"
    found = results(house, DAG, run_id, GROUP)["tuning.applied"]
    assert found["verdict"] == "CRITICAL"
    assert "were not begun: director rejected it." in found["summary"]
    assert running(house, "work_mem") == "4MB"
