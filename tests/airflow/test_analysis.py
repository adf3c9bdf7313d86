"""The daily performance analysis and the monthly look ahead in a real Airflow, and their report on the page."""

from datetime import timedelta

import httpx
import pytest

from tdev_operators.core.ledger import Sample
from tdev_operators.core.ports import utc_now
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.connections import EnvironmentConnections
from tdev_operators.hooks.ledger import PostgresLedger

DAY = timedelta(days=1)


def run(house, dag, item):
    """Trigger the item, wait, and return its run's state and its report: as JSON, and as the page shows it."""
    run_id = house.airflow.trigger(dag, {"items": [item]})
    state = house.airflow.wait_for_run(dag, run_id)
    report_id = house.airflow.xcom(dag, run_id, f"{item}.report")["report_id"]
    headers = {"Authorization": f"Bearer {house.airflow.token()}"}
    url = f"{house.airflow.url}/tdev/reports/{report_id}"
    data = httpx.get(f"{url}.json", headers=headers, timeout=30).json()
    page = httpx.get(url, headers={**headers, "Accept": "text/html"}, timeout=30).text
    return state, {each["result"]["check"]: each["result"] for each in data["findings"]}, page


@pytest.mark.timeout(300)
def test_the_evolution_is_reviewed(house):
    state, found, page = run(house, "tdev_daily", "evolution_metrics_review")
    bad = {name: one["summary"] for name, one in found.items() if one["verdict"] != Verdict.OK}
    assert (state, bad) == ("success", {})
    assert len(found) == 8
    assert page.count('<svg class="series"') >= 5


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_a_day_is_analysed_and_a_month_foretold(house):
    state, found, page = run(house, "tdev_daily", "performance_analysis")
    bad = {name: one["summary"] for name, one in found.items() if one["verdict"] != Verdict.OK}
    # What other tests of this house did to the database stands in the application's log, as it should.
    assert (state, set(bad) - {"logs.evolution_failures"}) == ("success", set()), bad
    assert "pg_stat_statements" in page, "what is out of scope stands in the report"
    assert {"performance.api", "performance.agents", "performance.throughput"} <= set(found)

    state, found, _ = run(house, "tdev_monthly", "capacity_planning")
    assert state == "failed"
    assert "14 days are missing" in found["capacity.database"]["summary"]

    ledger = PostgresLedger(EnvironmentConnections(house.system.environment).get("tdev_ledger"))
    for kind in ("sizes", "activity", "buckets", "disks"):
        (today,) = ledger.samples("t-developer", kind, utc_now() - DAY)
        for ago in range(1, 31):
            facts = dict(today.facts)
            if kind == "sizes":
                facts["database_bytes"] *= 1 - 0.01 * ago
            if kind == "activity":
                facts["wal_bytes"] -= min(ago * 1e6, facts["wal_bytes"])
            ledger.keep_sample("t-developer", kind, Sample(today.taken_at - ago * DAY, facts))
    state, found, page = run(house, "tdev_monthly", "capacity_planning")
    bad = {name: one["summary"] for name, one in found.items() if one["verdict"] != Verdict.OK}
    assert (state, bad) == ("success", {})
    assert "grows by" in found["capacity.database"]["summary"]
    assert page.count('<svg class="series"') >= 3
