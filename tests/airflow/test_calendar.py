"""Slots, deadlines and overlaps in a real scheduler. One trial tier has a slot every minute, one is started by hand."""

import os
import signal
import time
import tomllib
from datetime import UTC, datetime, timedelta
from datetime import time as clock

import psycopg
import pytest

from sandbox.settings_file import change_settings
from tests.airflow.humans import answer, wait_until_asked

SLOTS, ITEMS = "tdev_trial_slots", "tdev_trial_items"


@pytest.fixture
def unpaused(house):
    house.airflow.api("PATCH", f"/dags/{SLOTS}", json={"is_paused": False}).raise_for_status()
    yield house
    house.airflow.api("PATCH", f"/dags/{SLOTS}", json={"is_paused": True}).raise_for_status()


def scheduled(house):
    return [run for run in house.airflow.runs(SLOTS) if run["run_type"] == "scheduled"]


def wait_until(condition, *, seconds, what):
    """Wait for what takes so long on a quiet machine; a busy one may take four times that."""
    deadline = time.monotonic() + 4 * seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {4 * seconds} s"
        time.sleep(1)
    return found


@pytest.mark.faults
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
        unpaused.airflow.wait_for_run(SLOTS, run["dag_run_id"])
        states = unpaused.airflow.states(SLOTS, run["dag_run_id"])
        even = datetime.fromisoformat(run["logical_date"]).minute % 2 == 0
        done, skipped = ("even", "odd") if even else ("odd", "even")
        assert states[f"{done}.check"] == "success"
        assert states[f"{skipped}.check"] == "skipped"
        assert states["slow.judge"] == "skipped"


@pytest.mark.faults
def test_an_active_run_does_not_hold_up_the_next_slot_and_only_the_late_item_is_announced(unpaused):
    house = unpaused
    house.system.mail.clear()
    held = house.airflow.trigger(SLOTS, {"items": ["slow", "quick"]})  # 80 s; both are due after one minute
    waiting = house.airflow.trigger(SLOTS, {"items": ["poolless"]})  # its pool was removed: it waits for ever
    failed = house.airflow.trigger(SLOTS, {"items": ["broken"]})
    assert house.airflow.wait_for_run(SLOTS, failed) == "failed", "the red judge is the run's state"
    assert house.airflow.states(SLOTS, failed)["close_run"] == "success"

    assert house.airflow.wait_for_run(SLOTS, held) == "success"
    run = house.airflow.api("GET", f"/dags/{SLOTS}/dagRuns/{held}").json()
    beside = [slot for slot in scheduled(house) if run["start_date"] < (slot["start_date"] or "") < run["end_date"]]
    assert beside, "a slot beside the held run"

    def told():
        subjects = [mail["Subject"] for mail in house.system.mail.mails()]
        return [subject.split()[-1].removesuffix(".deadline") for subject in subjects if "deadline" in subject]

    late = items_that_were_late(house, held, waiting, failed)
    assert {"slow", "poolless"} <= late
    wait_until(lambda: set(told()) >= late - {"broken"}, seconds=10, what="a word about each late item")
    time.sleep(10)  # the deadlines of all four items have passed: let the callbacks of the others run
    assert set(told()) <= late, "only the late ones"
    assert len(told()) == len(set(told())), "each once"
    end = house.airflow.api("PATCH", f"/dags/{SLOTS}/dagRuns/{waiting}", json={"state": "failed"})
    end.raise_for_status()


def items_that_were_late(house, *run_ids):
    """Return the items that had not ended a minute after their run was queued; a busy machine has more of them."""
    with psycopg.connect(**house.system.control.conninfo("ledger")) as ledger:
        ended = dict(
            ledger.execute(
                "select run.item, min(attempt.ended_at) from maintenance.item_runs run"
                " join maintenance.item_attempts attempt on attempt.item_run_id = run.id"
                " where run.run_id = any(%s) group by run.item",
                (list(run_ids),),
            ).fetchall()
        )
    late = set()
    for run_id in run_ids:
        run = house.airflow.api("GET", f"/dags/{SLOTS}/dagRuns/{run_id}").json()
        due = datetime.fromisoformat(run["queued_at"]) + timedelta(minutes=1)
        late |= {item for item in run["conf"]["items"] if ended.get(item) is None or ended[item] > due}
    return late


@pytest.mark.faults
def test_two_runs_of_one_item_take_turns(house):
    both = [house.airflow.trigger(ITEMS, {"items": ["killed"]}) for _ in range(2)]  # 12 s each
    assert [house.airflow.wait_for_run(ITEMS, run_id) for run_id in both] == ["success", "success"]
    with psycopg.connect(**house.system.control.conninfo("ledger")) as ledger:
        attempts = ledger.execute(
            "select attempt.started_at, attempt.ended_at from maintenance.item_attempts attempt"
            " join maintenance.item_runs run on run.id = attempt.item_run_id"
            " where run.run_id = any(%s) order by attempt.started_at",
            (both,),
        ).fetchall()
    (_, first_end), (second_start, _) = attempts
    assert first_end <= second_start


def test_an_item_that_the_ledger_does_not_know_is_refused_with_one_sentence(house):
    with psycopg.connect(**house.system.control.conninfo("ledger"), autocommit=True) as ledger:
        ledger.execute("update maintenance.calendar set item = 'gone' where item = 'brief'")
        try:
            run_id = house.airflow.trigger(ITEMS, {"items": ["brief"]})
            assert house.airflow.wait_for_run(ITEMS, run_id) == "failed"
        finally:
            ledger.execute("update maintenance.calendar set item = 'brief' where item = 'gone'")
    states = house.airflow.states(ITEMS, run_id)
    assert states["brief.due"] == "failed"
    assert states["brief.check"] == "upstream_failed"
    assert "The ledger does not know brief at '0 0 1 1 *' in the trial_items tier; run `tdev init`." in (
        house.airflow.task_log(run_id, "brief.due")
    )


@pytest.mark.faults
def test_disruptive_work_asks_a_human_outside_the_window_and_nobody_inside(house):
    airflow = house.airflow
    window = tomllib.loads(house.system.settings_file.read_text())["system"]["maintenance_window"]
    today = datetime.now(UTC)
    elsewhere = (today - timedelta(days=3)).strftime("%A").lower()
    set_window(house, weekday=elsewhere)
    try:
        answers = {}
        for option in ("Approve", "Reject"):
            run_id = airflow.trigger(ITEMS, {"items": ["disruptive"]})
            wait_until_asked(house, ITEMS, run_id, "disruptive.approve")
            path = f"/dags/{ITEMS}/dagRuns/{run_id}/taskInstances/disruptive.approve/-1/hitlDetails"
            assert "The maintenance window opens at " in airflow.api("GET", path).json()["body"]
            assert answer(house, ITEMS, run_id, "disruptive.approve", option) == 200
            airflow.wait_for_run(ITEMS, run_id)
            answers[option] = airflow.states(ITEMS, run_id)["disruptive.check"]
        assert answers == {"Approve": "success", "Reject": "skipped"}, airflow.task_log(run_id, "disruptive.approve")

        set_window(house, weekday=today.strftime("%A").lower(), start=clock(0), end=clock(23, 59, 59))
        run_id = airflow.trigger(ITEMS, {"items": ["disruptive"]})
        assert airflow.wait_for_run(ITEMS, run_id) == "success"
        assert airflow.xcom(ITEMS, run_id, "disruptive.approve") == {"approved_by": "the maintenance window"}
    finally:
        set_window(house, **window)


def set_window(house, **differences):
    change_settings(house.system.settings_file, {"system": {"maintenance_window": differences}})


@pytest.mark.faults
def test_clearing_a_run_repeats_its_items(house):
    run_id = house.airflow.trigger(ITEMS, {"items": ["brief"]})
    house.airflow.wait_for_run(ITEMS, run_id)
    house.airflow.api(
        "POST", f"/dags/{ITEMS}/dagRuns/{run_id}/clear", json={"dry_run": False, "only_failed": False}
    ).raise_for_status()
    time.sleep(2)
    assert house.airflow.wait_for_run(ITEMS, run_id) == "success"
    tries = house.airflow.api("GET", f"/dags/{ITEMS}/dagRuns/{run_id}/taskInstances/brief.check").json()["try_number"]
    assert tries == 2


@pytest.mark.faults
def test_a_killed_task_is_done_again_and_reported_once(house):
    house.system.mail.clear()
    run_id = house.airflow.trigger(ITEMS, {"items": ["killed"]})
    path = f"/dags/{ITEMS}/dagRuns/{run_id}/taskInstances/killed.check"

    def running():
        task = house.airflow.api("GET", path).json()
        return task["pid"] if task["state"] == "running" and task["pid"] else None

    pid = wait_until(running, seconds=60, what="the task")
    time.sleep(3)  # it holds its lease and has opened the item
    os.kill(pid, signal.SIGKILL)
    assert house.airflow.wait_for_run(ITEMS, run_id, seconds=400) == "success"
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
