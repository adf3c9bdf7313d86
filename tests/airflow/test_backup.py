"""The evening in a real Airflow: a set is taken, verified and proven; damage turns the verification red."""

import json
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.airflow.test_daily import DAG, read_report, red_checks

BUCKET = "t-developer-backups"
ROOT = "t-developer/"


def run(house, *items, dag=DAG, conf=None):
    """Trigger items, wait, and return (state of the run, its id, the report of each item)."""
    run_id = house.airflow.trigger(dag, {"items": list(items), **(conf or {})})
    state = house.airflow.wait_for_run(dag, run_id, seconds=300)
    reports = {
        item: read_report(house, house.airflow.xcom(dag, run_id, f"{item}.report")["report_id"]) for item in items
    }
    return state, run_id, reports


def events(house, name):
    """Return the sets that the events of an asset told of, the newest first."""
    listed = house.airflow.api("GET", "/assets/events", params={"limit": 100, "order_by": "-timestamp"}).json()[
        "asset_events"
    ]
    return [event["extra"]["set_id"] for event in listed if event["name"] == name]


def keys(house, prefix):
    pages = house.system.objects.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def verdicts(report):
    return {finding["result"]["check"]: finding["result"]["verdict"] for finding in report["findings"]}


@pytest.fixture
def well(house):
    house.system.mend()
    house.system.mail.clear()
    yield house
    house.system.mend()


def between_slots(house, minutes=6):
    """Wait for a time without a slot: a scheduled run takes a set of its own (Monday 03:00, each day 21:00)."""

    def busy(dag):
        due = house.airflow.api("GET", f"/dags/{dag}").json()["next_dagrun_run_after"]
        soon = due and datetime.fromisoformat(due) < datetime.now(UTC) + timedelta(minutes=minutes)
        running = house.airflow.api("GET", f"/dags/{dag}/dagRuns", params={"state": ["queued", "running"]}).json()
        return soon or running["total_entries"]

    while any(busy(dag) for dag in ("tdev_daily", "tdev_weekly")):
        time.sleep(5)


@pytest.mark.timeout(1800)
def test_the_evening_ends_proven_and_a_damaged_set_is_never_called_so(well):
    between_slots(well)
    complete, proven = events(well, "tdev/backup/complete"), events(well, "tdev/backup/proven")
    state, run_id, reports = run(well, "backup")
    report = reports["backup"]
    assert (state, red_checks(report)) == ("success", []), report["headline"]
    assert [entry["check"] for entry in report["out_of_scope"]] == ["backup.protection"]
    set_id = well.airflow.xcom(DAG, run_id, "backup.take")["set_id"]
    assert events(well, "tdev/backup/complete") == [set_id, *complete]
    assert events(well, "tdev/backup/proven") == proven
    links = well.airflow.api("GET", f"/dags/{DAG}/dagRuns/{run_id}/taskInstances/backup.take/links").json()
    assert links["extra_links"] == {"Back-up set": f"/tdev/backups/{set_id}"}
    sequence = set_id.partition("-")[0]
    assert f"Set {sequence}" in well.airflow.task_log(run_id, "backup.take"), "its progress is told"
    assert f"{ROOT}{set_id}/proven.json" not in keys(well, ROOT)

    state, run_id, reports = run(well, "backup_verification")
    found = verdicts(reports["backup_verification"])
    assert state == "success", reports["backup_verification"]["headline"]
    assert {found[f"backup.{name}"] for name in ("tonight", "readable", "proven", "verifier")} == {"OK"}
    assert well.airflow.states(DAG, run_id)["backup_proven"] == "success"
    assert events(well, "tdev/backup/proven") == [set_id, *proven]
    headers = {"Authorization": f"Bearer {well.airflow.token()}"}
    page = httpx.get(f"{well.airflow.url}/tdev/backups/{set_id}", headers=headers, timeout=30).text
    assert "found equal to its source" in page

    (victim,) = [key for key in keys(well, f"{ROOT}{set_id}/") if key.endswith("globals.sql.zst")]
    client = well.system.objects.client()
    true = client.get_object(Bucket=BUCKET, Key=victim)["Body"].read()
    client.put_object(Bucket=BUCKET, Key=victim, Body=true[:-1] + bytes([true[-1] ^ 1]))
    state, run_id, reports = run(well, "backup_verification")
    assert state == "failed"
    assert "backup.readable" in red_checks(reports["backup_verification"])
    assert well.airflow.states(DAG, run_id)["backup_proven"] == "upstream_failed"
    assert events(well, "tdev/backup/proven") == [set_id, *proven], "nothing new is announced"
    assert f"{ROOT}{set_id}/proven.json" not in keys(well, ROOT), "what is damaged is proven no more"
    client.put_object(Bucket=BUCKET, Key=victim, Body=true)

    state, run_id, reports = run(well, "backup", "backup_verification", conf={"backup_full": True})
    second = well.airflow.xcom(DAG, run_id, "backup.take")["set_id"]
    assert state == "success"
    manifest = json.loads(client.get_object(Bucket=BUCKET, Key=f"{ROOT}{second}/manifest.json")["Body"].read())
    assert (manifest["full"], manifest["sequence"]) == (True, int(sequence) + 1)
    assert not any(snapshot["referenced_sets"] for snapshot in manifest["buckets"])
    assert events(well, "tdev/backup/proven") == [second, set_id, *proven]


@pytest.mark.timeout(900)
def test_the_form_is_refused_when_it_names_what_is_not_there(well):
    run_id = well.airflow.trigger(DAG, {"items": ["backup"], "backup_databases": ["payroll"]})
    state = well.airflow.wait_for_run(DAG, run_id, seconds=300)
    assert state == "failed"
    assert "backup.databases has no payroll; choose from what it lists." in well.airflow.task_log(run_id, "backup.take")


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_the_full_back_up_of_the_week_is_taken_and_proven_in_one_go(well):
    state, run_id, reports = run(well, "full_backup", dag="tdev_weekly")
    found = verdicts(reports["full_backup"])
    assert state == "success", reports["full_backup"]["headline"]
    assert found["backup.proven"] == "OK"
    assert well.airflow.xcom("tdev_weekly", run_id, "full_backup.take")["set_id"]
