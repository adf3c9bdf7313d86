"""A stalled evolution in a real Airflow: told by the health check, diagnosed, approved, cured; and memory relieved."""

import httpx
import pytest

from sandbox.settings_file import change_settings
from tests.airflow.humans import answer, wait_until_asked
from tests.airflow.test_daily import run_health_check
from tests.airflow.test_recovery import failures, results, start

DAG, GROUP = "tdev_recover_evolution", "recover_evolution"


@pytest.fixture
def hung(house):
    """A T-Developer whose engine hangs and whose newest checkpoints are spoiled; a healthy one is fast."""
    system = house.system
    before = system.engine.interval_seconds
    system.engine.interval_seconds = 1.0  # counts from its next start on
    system.break_("hang_evolution")
    system.break_("spoil_checkpoints")
    yield house
    system.engine.interval_seconds = before
    system.mend()
    system.engine.stop()
    system.engine.start()


def ended(house, dag, group, conf, *, approve=False):
    status, run_id = start(house, dag, conf)
    assert status == 200
    if approve:
        wait_until_asked(house, dag, run_id, f"{group}.approve")
        assert answer(house, dag, run_id, f"{group}.approve", user="lead") == 403, "who asked does not approve"
        assert answer(house, dag, run_id, f"{group}.approve", user="deputy") == 200
    state = house.airflow.wait_for_run(dag, run_id)
    return state, run_id, results(house, dag, run_id, group)


def page_of(house, dag, run_id, group):
    """The report as people see it."""
    report = house.airflow.xcom(dag, run_id, f"{group}.report")["report_id"]
    headers = {"Authorization": f"Bearer {house.airflow.token()}", "Accept": "text/html"}
    return httpx.get(f"{house.airflow.url}/tdev/reports/{report}", headers=headers, timeout=30).text


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_a_stalled_evolution_is_told_diagnosed_approved_and_cured(hung):
    house = hung
    state, _, report = run_health_check(house)
    [stalled] = [one["result"] for one in report["findings"] if one["result"]["check"] == "evolution.generation_age"]
    assert state == "failed"
    assert "Start `tdev_recover_evolution`" in stalled["hint"]

    for user in ("engineer", "viewer"):
        assert start(house, DAG, user=user)[0] == 403
    state, run_id, found = ended(house, DAG, GROUP, {})
    assert state == "success", failures(house, DAG, run_id)
    assert found["evolution_recovery.cure"]["verdict"] == "WARNING"
    assert "was stopped by a signal" in found["evolution_recovery.cure"]["summary"]
    hung_pid = house.system.engine.pid

    state, run_id, found = ended(house, DAG, GROUP, {"dry_run": False}, approve=True)
    assert state == "success", failures(house, DAG, run_id)
    cure = found["evolution_recovery.cure"]
    assert cure["verdict"] == "OK"
    assert cure["summary"].startswith("Cured: generation ")
    assert "asked for by lead, approved by deputy" in cure["summary"]
    assert found["evolution_recovery.diagnosis"]["verdict"] == "OK"
    assert "was skipped" in found["evolution_recovery.checkpoints"]["summary"]
    assert house.system.engine.pid not in (0, hung_pid)
    page = page_of(house, DAG, run_id, GROUP)
    for shown in (
        "Cured: generation",
        "checkpoint_gen",
        "it is no JSON: truncated",
        "evidence/recover_evolution/",
        "state T",
    ):
        assert shown in page

    _, _, report = run_health_check(house)
    [well] = [one["result"] for one in report["findings"] if one["result"]["check"] == "evolution.generation_age"]
    assert well["verdict"] == "OK"
    state, _, found = ended(house, DAG, GROUP, {"dry_run": False})
    assert (state, found["evolution_recovery.cure"]["verdict"]) == ("success", "OK")
    assert "Nothing was touched. The evolution is not stalled" in found["evolution_recovery.cure"]["summary"]


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_an_engine_that_stalls_again_makes_the_run_red_and_says_what_to_do(hung):
    house = hung
    house.system.engine.stalls_after = 1
    change_settings(house.system.settings_file, {"evolution": {"recovery": {"generation_wait_seconds": 15.0}}})
    try:
        state, run_id, found = ended(house, DAG, GROUP, {"dry_run": False}, approve=True)
    finally:
        house.system.engine.stalls_after = None
        change_settings(house.system.settings_file, {"evolution": {"recovery": {"generation_wait_seconds": 180.0}}})
    assert state == "failed"
    cure = found["evolution_recovery.cure"]
    assert cure["verdict"] == "CRITICAL"
    assert "it stalls again. The API says running, which proves nothing." in cure["summary"], failures(
        house, DAG, run_id
    )


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_high_memory_is_shown_and_relieved_by_a_restart(house):
    system = house.system
    dag, group, name = "tdev_relieve_memory", "relieve_memory", "memory_relief.sandbox"
    state, _, found = ended(house, dag, group, {"dry_run": False})
    assert (state, found[name]["verdict"]) == ("success", "OK")
    assert "That is not high: nothing was touched." in found[name]["summary"]
    high = {"health": {"infrastructure": {"memory_used_percent": {"warning": 0.1, "critical": 99.9}}}}
    well = {"health": {"infrastructure": {"memory_used_percent": {"warning": 97, "critical": 99}}}}
    before, interval = system.engine.pid, system.engine.interval_seconds
    system.engine.interval_seconds = 1.0
    change_settings(system.settings_file, high)
    try:
        _, run_id, found = ended(house, dag, group, {"dry_run": False}, approve=True)
    finally:
        change_settings(system.settings_file, well)
        system.engine.interval_seconds = interval
    assert "Done: restart t-developer-evolution, " in found[name]["summary"], failures(house, dag, run_id)
    assert "The evolution goes on: generation " in found[name]["summary"]
    assert system.engine.pid not in (0, before)
    assert "MiB pid " in page_of(house, dag, run_id, group)
