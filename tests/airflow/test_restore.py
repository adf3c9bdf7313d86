"""The restore in a real Airflow with FAB: who may start it, who may approve, and what stands there afterwards."""

import time

import pytest

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
    answer = house.airflow.api("POST", f"/dags/{DAG}/dagRuns", user=user, json={"logical_date": None, "conf": conf})
    return answer.status_code, answer.json().get("dag_run_id", "")


def waiting(house, run_id, task, seconds=120):
    """Wait until a task waits for a human, and until the process that asked has ended."""
    deadline = time.monotonic() + seconds
    while house.airflow.states(DAG, run_id).get(task) != "awaiting_input":
        assert time.monotonic() < deadline, house.airflow.states(DAG, run_id)
        time.sleep(0.5)
    time.sleep(3)


def answer(house, run_id, task, user, option="Approve"):
    path = f"/dags/{DAG}/dagRuns/{run_id}/taskInstances/{task}/-1/hitlDetails"
    body = {"chosen_options": [option], "params_input": {}}
    return house.airflow.api("PATCH", path, user=user, json=body).status_code


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
    waiting(house, run_id, "restore.approve")
    assert answer(house, run_id, "restore.approve", "lead") == 403, "who asked does not approve"
    assert answer(house, run_id, "restore.approve", "engineer") == 403
    assert answer(house, run_id, "restore.approve", "deputy") == 200
    waiting(house, run_id, "restore.approve_again")
    assert answer(house, run_id, "restore.approve_again", "deputy") == 403, "two approvals are two people"
    assert answer(house, run_id, "restore.approve_again", "director") == 200
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
    waiting(house, run_id, "restore.approve")
    assert answer(house, run_id, "restore.approve", "director", "Reject") == 200
    assert house.airflow.wait_for_run(DAG, run_id) == "failed"
    found = results(report_of(house, run_id))
    assert found["restore.approval"]["summary"] == "Not restored: director rejected it."
    assert found["restore.live"]["verdict"] == "UNKNOWN"
