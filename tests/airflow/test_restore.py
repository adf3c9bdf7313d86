"""The restore in a real Airflow with FAB: who may start it, who may approve, and what stands there afterwards."""

import pytest

from tests.airflow.humans import answer, wait_until_asked
from tests.airflow.test_daily import read_report

DAG = "tdev_restore"
LIVE = {"database": "live", "no_safety_set": True}


@pytest.fixture(scope="module")
def proven(house):
    """A PROVEN set of the system as it is."""
    run_id = house.airflow.trigger("tdev_daily", {"items": ["backup", "backup_verification"]})
    assert house.airflow.wait_for_run("tdev_daily", run_id) == "success"
    return house


def start(house, conf, user="lead"):
    body = {"logical_date": None, "conf": conf}
    started = house.airflow.api("POST", f"/dags/{DAG}/dagRuns", user=user, json=body)
    return started.status_code, started.json().get("dag_run_id", "")


def failures(house, run_id):
    """Say which tasks failed and how, for the message of a failed test."""
    failed = [task for task, state in house.airflow.states(DAG, run_id).items() if state == "failed"]
    told = [f"{task}: {house.airflow.task_log(run_id, task)}" for task in [*failed, "restore.settle"]]
    return "\n".join([str(house.airflow.states(DAG, run_id)), *told])


def report_of(house, run_id):
    return read_report(house, house.airflow.xcom(DAG, run_id, "restore.report")["report_id"])


def results(report):
    return {finding["result"]["check"]: finding["result"] for finding in report["findings"]}


def test_a_lead_restores_beside_the_live_database_and_others_may_not(proven):
    house = proven
    for user in ("engineer", "viewer"):
        assert start(house, {}, user)[0] == 403
    status, run_id = start(house, {"buckets": ["agents"], "buckets_into": "scratch"})
    assert status == 200
    assert house.airflow.wait_for_run(DAG, run_id) == "success", failures(house, run_id)
    states = house.airflow.states(DAG, run_id)
    skipped = {task for task, state in states.items() if state == "skipped"}
    untouched = ("approve", "approve_again", "approved", "safety_set", "replace_live")
    assert skipped == {f"restore.{task}" for task in untouched}
    found = results(report_of(house, run_id))
    assert {name: one["verdict"] for name, one in found.items()} == dict.fromkeys(
        ("restore.set", "restore.database", "restore.bucket_agents"), "OK"
    )


def test_two_others_approve_and_the_live_database_is_replaced(proven):
    house = proven
    with house.system.database() as database:
        database.execute("UPDATE agents SET name = name || ' (broken)'")
    _, run_id = start(house, LIVE)
    wait_until_asked(house, DAG, run_id, "restore.approve")
    assert answer(house, DAG, run_id, "restore.approve", user="lead") == 403, "who asked does not approve"
    assert answer(house, DAG, run_id, "restore.approve", user="engineer") == 403
    assert answer(house, DAG, run_id, "restore.approve", user="deputy") == 200
    wait_until_asked(house, DAG, run_id, "restore.approve_again")
    assert answer(house, DAG, run_id, "restore.approve_again", user="deputy") == 403, "two approvals are two people"
    assert answer(house, DAG, run_id, "restore.approve_again", user="director") == 200
    house.airflow.wait_for_run(DAG, run_id)
    found = results(report_of(house, run_id))
    assert found["restore.live"]["verdict"] == "OK", failures(house, run_id)
    assert "Approved by deputy, director." in found["restore.live"]["summary"]
    assert found["restore.services"]["verdict"] == "OK"
    assert "restore.health" in found
    with house.system.database() as database:
        assert database.execute("SELECT count(*) FROM agents WHERE name LIKE '%% (broken)'").fetchone() == (0,)


def test_a_rejected_restore_is_red_and_touches_nothing(proven):
    house = proven
    _, run_id = start(house, LIVE)
    wait_until_asked(house, DAG, run_id, "restore.approve")
    assert answer(house, DAG, run_id, "restore.approve", "Reject", user="director") == 200
    assert house.airflow.wait_for_run(DAG, run_id) == "failed"
    found = results(report_of(house, run_id))
    assert found["restore.approval"]["summary"] == "Not restored: director rejected it."
    assert found["restore.live"]["verdict"] == "UNKNOWN"
