"""The daily tier in a real Airflow, on a real (embedded) T-Developer."""

import httpx
import psycopg
import pytest

from sandbox.system import OPERATORS_ADDRESS, READERS_ADDRESS
from tests.seeded import drawn

BREAKS = {
    "stall_evolution": "evolution.generation_age",
    "decline_fitness": "evolution.fitness_trend",
    "agent_limit": "agents.limits",
    "invalid_index": "database.invalid_indexes",
    "expired_certificate": "security.certificates",
    "stop_api": "api.reachable",
    "failed_logins": "security.failed_logins",
}
DAG = "tdev_daily"


def run_health_check(house):
    """Trigger the item, wait, and return (state of the run, report as JSON)."""
    run_id = house.airflow.trigger(DAG, {"items": ["health_check"]})
    state = house.airflow.wait_for_run(DAG, run_id)
    report = house.airflow.xcom(DAG, run_id, "health_check.report")
    return state, run_id, read_report(house, report["report_id"])


def read_report(house, report_id):
    headers = {"Authorization": f"Bearer {house.airflow.token()}"}
    answer = httpx.get(f"{house.airflow.url}/tdev/reports/{report_id}.json", headers=headers, timeout=30)
    assert answer.status_code == 200
    return answer.json()


def red_checks(report):
    return sorted(
        finding["result"]["check"]
        for finding in report["findings"]
        if finding["result"]["verdict"] in ("CRITICAL", "UNKNOWN") and not finding["result"]["because_of"]
    )


def alerts(house):
    return [mail for mail in house.system.mail.mails() if mail["To"] == OPERATORS_ADDRESS]


@pytest.fixture
def well(house):
    """A house that is well and whose mail box is empty."""
    house.system.mend()
    house.system.mail.clear()
    yield house
    house.system.mend()


def test_all_is_well_and_the_report_is_on_the_page_in_the_ledger_and_in_the_mail_box(well):
    state, run_id, report = run_health_check(well)
    assert red_checks(report) == [], report["headline"]
    assert state == "success"
    assert report["verdict"] in ("OK", "WARNING")
    states = well.airflow.states(DAG, run_id)
    done = {task for task, result in states.items() if result == "success"}
    assert {task for task in states if task.startswith("health_check.")} | {"close_run"} <= done
    assert {states[task] for task in states.keys() - done} <= {"skipped"}, "what was not chosen is not done"

    with psycopg.connect(**well.system.control.conninfo("ledger")) as ledger:
        (kept,) = ledger.execute(
            "select count(*) from maintenance.reports where id::text = %s", (report["id"],)
        ).fetchone()
    assert kept == 1
    (mail,) = well.system.mail.mails()
    assert mail["To"] == READERS_ADDRESS
    assert mail["Subject"].startswith(f"[t-developer] health_check {report['verdict']}: ")

    links = well.airflow.api("GET", f"/dags/{DAG}/dagRuns/{run_id}/taskInstances/health_check.report/links").json()
    assert links["extra_links"] == {"Maintenance report": f"/tdev/reports/{report['id']}"}


@pytest.mark.faults
@pytest.mark.parametrize("what", drawn("break", list(BREAKS)))
def test_what_is_broken_on_purpose_turns_exactly_its_check_red_and_sends_one_mail(well, what):
    _, _, before = run_health_check(well)
    assert red_checks(before) == []
    well.system.mail.clear()

    well.system.break_(what)
    state, run_id, during = run_health_check(well)
    assert red_checks(during) == [BREAKS[what]]
    assert state == "failed"
    assert well.airflow.states(DAG, run_id)["health_check.judge"] == "failed"
    assert len([mail for mail in alerts(well) if BREAKS[what] in mail["Subject"]]) == 1
    well.system.mail.clear()

    state, _, _ = run_health_check(well)
    assert state == "failed"
    assert alerts(well) == [], "no repeats while it lasts"

    well.system.mend()
    state, _, after = run_health_check(well)
    assert red_checks(after) == []
    assert state == "success"
    (ended,) = alerts(well)
    assert "ended" in ended["Subject"]


def test_an_empty_choice_is_refused_with_a_sentence(house):
    answer = house.airflow.api("POST", f"/dags/{DAG}/dagRuns", json={"logical_date": None, "conf": {"items": []}})
    assert answer.status_code == 400
    assert "should be non-empty" in answer.text


def test_a_backfill_is_refused(house):
    body = {"dag_id": DAG, "from_date": "2026-01-01T00:00:00Z", "to_date": "2026-01-07T00:00:00Z"}
    assert house.airflow.api("POST", "/backfills", json=body).status_code >= 400


def test_an_engineer_may_start_the_tier_and_a_viewer_may_not(house):
    body = {"logical_date": None, "conf": {"items": ["health_check"]}}
    assert house.airflow.api("POST", f"/dags/{DAG}/dagRuns", user="viewer", json=body).status_code == 403
    answer = house.airflow.api("POST", f"/dags/{DAG}/dagRuns", user="engineer", json=body)
    assert answer.status_code == 200, answer.text
    house.airflow.wait_for_run(DAG, answer.json()["dag_run_id"])


def test_no_secret_is_in_airflows_logs(house):
    system = house.system
    secrets = {system.mail.password, system.api.token, system.objects.secret_key, system.web_hooks.slack_url}
    secrets |= {system.source.conninfo("t_developer", user="maintenance")["password"]}
    secrets |= {system.control.conninfo("ledger", user="ledger")["password"]}
    logs = [*(house.airflow.home / "logs").rglob("*.log"), *(system.home / "logs").glob("airflow-*.log")]
    assert logs
    for log in logs:
        text = log.read_text(encoding="utf-8", errors="replace")
        assert not [secret for secret in secrets if secret in text], log
