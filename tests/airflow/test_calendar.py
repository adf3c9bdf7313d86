"""Slots, deadlines and overlaps in a real scheduler. Slots of the trial tier come every minute."""

import os
import signal
import time
from datetime import datetime, timedelta

import psycopg
import pytest

TRIAL = "tdev_trial_slots"


@pytest.fixture
def unpaused(house):
    house.airflow.api("PATCH", f"/dags/{TRIAL}", json={"is_paused": False}).raise_for_status()
    yield house
    house.airflow.api("PATCH", f"/dags/{TRIAL}", json={"is_paused": True}).raise_for_status()


def scheduled(house):
    return [run for run in house.airflow.runs(TRIAL) if run["run_type"] == "scheduled"]


def wait_until(condition, *, seconds, what):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(1)
    return found


def test_slots_missed_by_a_stopped_scheduler_are_run_once_each_in_order(unpaused):
    before = wait_until(lambda: scheduled(unpaused), seconds=130, what="the first slot")
    unpaused.airflow.stop_component("scheduler")
    time.sleep(125)  # two slots at least
    unpaused.airflow.start_component("scheduler")
    late = wait_until(
        lambda: (runs := scheduled(unpaused))[len(before) + 1 :] and runs, seconds=60, what="the missed slots"
    )
    slots = [datetime.fromisoformat(run["logical_date"]) for run in late]
    assert slots == [slots[0] + n * timedelta(minutes=1) for n in range(len(slots))], "each slot once, none left out"
    queued = [run["queued_at"] for run in late]
    assert queued == sorted(queued)
    for run in late[:3]:
        unpaused.airflow.wait_for_run(TRIAL, run["dag_run_id"])
        states = unpaused.airflow.states(TRIAL, run["dag_run_id"])
        even = datetime.fromisoformat(run["logical_date"]).minute % 2 == 0
        done, skipped = ("even", "odd") if even else ("odd", "even")
        assert states[f"{done}.check"] == "success"
        assert states[f"{skipped}.check"] == "skipped"
        assert states["slow.judge"] == "skipped"


def test_an_active_run_does_not_hold_up_the_next_slot_and_only_the_late_item_is_announced(unpaused):
    house = unpaused
    house.system.mail.clear()
    count = len(scheduled(house))
    held = house.airflow.trigger(TRIAL, {"items": ["slow", "quick"]})  # 80 s; both are due after one minute
    failed = house.airflow.trigger(TRIAL, {"items": ["broken"]})
    assert house.airflow.wait_for_run(TRIAL, failed) == "failed", "the red judge is the run's state"
    assert house.airflow.states(TRIAL, failed)["close_run"] == "success"

    wait_until(lambda: len(scheduled(house)) > count, seconds=70, what="a slot beside the held run")
    assert house.airflow.api("GET", f"/dags/{TRIAL}/dagRuns/{held}").json()["state"] == "running"

    assert house.airflow.wait_for_run(TRIAL, held) == "success"
    time.sleep(10)  # the deadlines of all three items have passed: let their callbacks run
    late = [mail["Subject"] for mail in house.system.mail.mails() if "deadline" in mail["Subject"]]
    assert len(late) == 1, late
    assert "slow.deadline" in late[0]


def test_clearing_a_run_repeats_its_items(unpaused):
    house = unpaused
    run_id = house.airflow.trigger(TRIAL, {"items": ["quick"]})
    house.airflow.wait_for_run(TRIAL, run_id)
    house.airflow.api(
        "POST", f"/dags/{TRIAL}/dagRuns/{run_id}/clear", json={"dry_run": False, "only_failed": False}
    ).raise_for_status()
    time.sleep(2)
    assert house.airflow.wait_for_run(TRIAL, run_id) == "success"
    tries = house.airflow.api("GET", f"/dags/{TRIAL}/dagRuns/{run_id}/taskInstances/quick.check").json()["try_number"]
    assert tries == 2


@pytest.mark.faults
def test_a_killed_task_is_done_again_and_reported_once(unpaused):
    house = unpaused
    house.system.mail.clear()
    run_id = house.airflow.trigger(TRIAL, {"items": ["killed"]})
    path = f"/dags/{TRIAL}/dagRuns/{run_id}/taskInstances/killed.check"

    def running():
        task = house.airflow.api("GET", path).json()
        return task["pid"] if task["state"] == "running" and task["pid"] else None

    pid = wait_until(running, seconds=60, what="the task")
    time.sleep(3)  # it holds its lease and has opened the item
    os.kill(pid, signal.SIGKILL)
    assert house.airflow.wait_for_run(TRIAL, run_id, seconds=400) == "success"
    assert house.airflow.api("GET", path).json()["try_number"] > 1
    with psycopg.connect(**house.system.control.conninfo("ledger")) as ledger:
        attempts = ledger.execute(
            "select attempt.ended_at is not null, report.id is not null from maintenance.item_attempts attempt"
            " join maintenance.item_runs run on run.id = attempt.item_run_id"
            " left join maintenance.reports report on report.attempt_id = attempt.id"
            " where run.run_id = %s order by attempt.attempt",
            (run_id,),
        ).fetchall()
        leases = ledger.execute("select name from maintenance.leases where expires_at > now()").fetchall()
    assert attempts[-1] == (True, True)
    assert sum(reported for _, reported in attempts) == 1
    assert ("item:killed",) not in leases
    assert [
        mail["Subject"]
        for mail in house.system.mail.mails()
        if "killed" in mail["Subject"] and "UNKNOWN" in mail["Subject"]
    ] == []
