"""Restore, drill and failover in a real Airflow with FAB: who may start and approve them, what stands there."""

import time

import pytest

from tests.airflow.humans import answer, wait_until_asked
from tests.airflow.test_daily import read_report

RESTORE, DRILL, FAILOVER = "tdev_restore", "tdev_dr_drill", "tdev_failover"
LIVE = {"database": "live", "no_safety_set": True, "buckets": ["agents"], "buckets_into": "scratch"}


@pytest.fixture(scope="module")
def proven(house):
    """A PROVEN set of the system as it is."""
    run_id = house.airflow.trigger("tdev_daily", {"items": ["backup", "backup_verification"]})
    assert house.airflow.wait_for_run("tdev_daily", run_id) == "success"
    return house


def start(house, dag, conf=None, user="lead"):
    body = {"logical_date": None, "conf": conf or {}}
    started = house.airflow.api("POST", f"/dags/{dag}/dagRuns", user=user, json=body)
    return started.status_code, started.json().get("dag_run_id", "")


def failures(house, dag, run_id):
    """Say which tasks failed and how, for the message of a failed test."""
    states = house.airflow.states(dag, run_id)
    failed = [task for task, state in states.items() if state == "failed"]
    told = [f"{task}: {house.airflow.task_log(run_id, task)}" for task in failed]
    return "\n".join([str(states), *told])


def results(house, dag, run_id, group):
    """The results in the run's report, by check."""
    report = read_report(house, house.airflow.xcom(dag, run_id, f"{group}.report")["report_id"])
    return {finding["result"]["check"]: finding["result"] for finding in report["findings"]}


@pytest.mark.faults
def test_two_others_approve_and_the_live_database_is_replaced(proven):
    house = proven
    with house.system.database() as database:
        database.execute("UPDATE agents SET name = name || ' (broken)'")
    for user in ("engineer", "viewer"):
        assert start(house, RESTORE, user=user)[0] == 403
    status, run_id = start(house, RESTORE, LIVE)
    assert status == 200
    wait_until_asked(house, RESTORE, run_id, "restore.approve")
    assert answer(house, RESTORE, run_id, "restore.approve", user="lead") == 403, "who asked does not approve"
    assert answer(house, RESTORE, run_id, "restore.approve", user="engineer") == 403
    assert answer(house, RESTORE, run_id, "restore.approve", user="deputy") == 200
    wait_until_asked(house, RESTORE, run_id, "restore.approve_again")
    assert answer(house, RESTORE, run_id, "restore.approve_again", user="deputy") == 403, "two approvals are two people"
    assert answer(house, RESTORE, run_id, "restore.approve_again", user="director") == 200
    house.airflow.wait_for_run(RESTORE, run_id)
    found = results(house, RESTORE, run_id, "restore")
    assert found["restore.live"]["verdict"] == "OK", failures(house, RESTORE, run_id)
    assert "Approved by deputy, director." in found["restore.live"]["summary"]
    assert found["restore.services"]["verdict"] == "OK"
    assert "restore.health" in found
    assert [found[name]["verdict"] for name in ("restore.set", "restore.database", "restore.bucket_agents")] == [
        "OK"
    ] * 3
    with house.system.database() as database:
        assert database.execute("SELECT count(*) FROM agents WHERE name LIKE '%% (broken)'").fetchone() == (0,)


@pytest.mark.faults
def test_a_lead_drills_with_anothers_approval_and_the_monthly_item_knows(proven):
    house = proven
    for user in ("engineer", "viewer"):
        assert start(house, DRILL, user=user)[0] == 403
    status, run_id = start(house, DRILL)
    assert status == 200
    wait_until_asked(house, DRILL, run_id, "drill.approve")
    assert answer(house, DRILL, run_id, "drill.approve", user="lead") == 403, "who asked does not approve"
    assert answer(house, DRILL, run_id, "drill.approve", user="deputy") == 200
    state = house.airflow.wait_for_run(DRILL, run_id)
    found = results(house, DRILL, run_id, "drill")
    red = {name: one["summary"] for name, one in found.items() if one["verdict"] in ("CRITICAL", "UNKNOWN")}
    assert (state, red) == ("success", {}), failures(house, DRILL, run_id)
    assert found["drill.approval"]["summary"] == "Asked for by lead, approved by deputy."
    assert {"drill.evidence", "drill.leftovers"} <= found.keys()
    monthly = house.airflow.trigger("tdev_monthly", {"items": ["dr_drill"]})
    assert house.airflow.wait_for_run("tdev_monthly", monthly) == "success"


@pytest.mark.faults
def test_a_rejected_drill_is_red_and_says_that_nothing_was_rehearsed(proven):
    house = proven
    _, run_id = start(house, DRILL)
    wait_until_asked(house, DRILL, run_id, "drill.approve")
    assert answer(house, DRILL, run_id, "drill.approve", "Reject", user="director") == 200
    assert house.airflow.wait_for_run(DRILL, run_id) == "failed"
    found = results(house, DRILL, run_id, "drill")
    assert found["drill.rehearsal"]["summary"] == "Not rehearsed: director rejected it."
    assert found["drill.rehearsal"]["verdict"] == "UNKNOWN"


def wait_for_task(house, dag, run_id, task, seconds=300):
    deadline = time.monotonic() + seconds
    while house.airflow.states(dag, run_id).get(task) != "success":
        assert time.monotonic() < deadline, failures(house, dag, run_id)
        time.sleep(0.5)


@pytest.fixture
def both_ways(house):
    """After a failover both sides are again as they were."""
    yield house
    house.system.second.fail_back()


@pytest.mark.faults
def test_marked_as_failed_by_hand_a_failover_is_taken_back(house):
    second = house.system.second
    with second.standby.connect() as standby:
        standby.execute("SELECT pg_wal_replay_pause()")  # so that `sync` waits
    _, run_id = start(house, FAILOVER, {"to": "second"})
    wait_until_asked(house, FAILOVER, run_id, "failover.approve")
    assert answer(house, FAILOVER, run_id, "failover.approve", user="deputy") == 200
    wait_for_task(house, FAILOVER, run_id, "failover.fence")
    assert not house.system.source.running
    marked = house.airflow.api("PATCH", f"/dags/{FAILOVER}/dagRuns/{run_id}", json={"state": "failed"})
    assert marked.status_code == 200, marked.text
    wait_for_task(house, FAILOVER, run_id, "failover.settle")
    assert house.system.source.running
    with second.standby.connect() as standby:
        standby.execute("SELECT pg_wal_replay_resume()")
    second.await_streaming()


@pytest.mark.faults
def test_rehearsed_nothing_is_touched_and_approved_the_other_side_serves(both_ways):
    house = both_ways
    rehearsal = {"to": "second", "rehearse": True}
    for user in ("engineer", "viewer"):
        assert start(house, FAILOVER, rehearsal, user=user)[0] == 403
    _, run_id = start(house, FAILOVER, rehearsal)
    assert house.airflow.wait_for_run(FAILOVER, run_id) == "success", failures(house, FAILOVER, run_id)
    done = {task for task, state in house.airflow.states(FAILOVER, run_id).items() if state == "success"}
    assert done == {f"failover.{task}" for task in ("look", "settle", "report", "judge")}
    assert house.system.source.running
    _, run_id = start(house, FAILOVER, {"to": "second"})
    wait_until_asked(house, FAILOVER, run_id, "failover.approve")
    assert answer(house, FAILOVER, run_id, "failover.approve", user="lead") == 403, "who asked does not approve"
    assert answer(house, FAILOVER, run_id, "failover.approve", user="deputy") == 200
    assert house.airflow.wait_for_run(FAILOVER, run_id) == "success", failures(house, FAILOVER, run_id)
    found = results(house, FAILOVER, run_id, "failover")
    assert {one["verdict"] for one in found.values()} == {"OK"}
    assert "approved by deputy" in found["failover.end"]["summary"]
    assert not house.system.source.running
    with house.system.second.standby.connect() as primary:
        assert primary.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)
