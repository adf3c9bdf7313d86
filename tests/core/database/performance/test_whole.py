"""The two items on a whole small T-Developer, as its Airflow tasks do them: with its connections and its ledger."""

from datetime import timedelta
from random import Random
from types import SimpleNamespace

import pytest

from tdev_operators.core.ledger import Sample
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks import assembly
from tdev_operators.hooks.connections import EnvironmentConnections
from tdev_operators.hooks.ledger_schema import migrate
from tdev_operators.hooks.reporting import reporting_ports

DAY = timedelta(days=1)


@pytest.fixture
def job(sandbox, monkeypatch):
    """One execution, as `ItemWorkOperator.execute` makes it."""
    for name, value in sandbox.environment.items():
        monkeypatch.setenv(name, value)
    connections = EnvironmentConnections(sandbox.environment)
    monkeypatch.setattr(assembly, "airflow_connections", lambda: connections)
    migrate(connections.get("tdev_ledger"))
    ports = reporting_ports(connections)
    return SimpleNamespace(ports=ports, settings=ports.settings)


def bad(outcome):
    return {result.check: result.summary for result in outcome.results if result.verdict is not Verdict.OK}


def test_a_day_and_a_month(job):
    from tdev_operators.operators.analysis import CapacityForecastOperator, PerformanceAnalyzeOperator

    analyze = PerformanceAnalyzeOperator(task_id="analyze")
    first = analyze.do(job)
    assert bad(first) == {}, "all is well in a sandbox, and what it cannot see is out of scope"
    assert {each.check for each in first.out_of_scope} == {
        *(f"performance.{name}" for name in ("top_statements", "regressions", "new_statements")),
        "logs.rotation",
    }
    name, now = job.settings.system.name, job.ports.clock()
    taken = {
        kind: job.ports.ledger.samples(name, kind, now - DAY) for kind in ("sizes", "activity", "buckets", "disks")
    }
    assert all(taken.values())
    assert taken["sizes"][0].facts["tables"]["public.metrics"][0] > 0
    assert taken["buckets"][0].facts["agents"]["objects"] > 10

    forecast = CapacityForecastOperator(task_id="forecast")
    young = forecast.do(job)
    # A first month has no history; of the tables none is large enough to be foretold.
    assert {result.check for result in young.results if result.verdict is not Verdict.UNKNOWN} == {"capacity.tables"}
    assert "14 days are missing" in young.results[0].summary

    random = Random(1)
    for days_ago in range(1, 41):
        for kind, (sample,) in taken.items():
            at = sample.taken_at - days_ago * DAY
            job.ports.ledger.keep_sample(name, kind, Sample(at, shrunk(sample.facts, days_ago, random)))
    grown = forecast.do(job)
    assert bad(grown) == {}
    assert len(grown.results) == 6
    assert next(r for r in grown.results if r.check == "capacity.database").series
    assert bad(analyze.do(job)) == {}


def shrunk(facts, days_ago, random):
    """The same figures as they were some days ago, when everything was smaller."""
    if "database_bytes" in facts:
        return {**facts, "database_bytes": facts["database_bytes"] * (1 - 0.005 * days_ago) + random.random() * 1e5}
    if "wal_bytes" in facts:
        return {**facts, "wal_bytes": max(facts["wal_bytes"] * (1 - days_ago / 50), 0.0)}
    return facts
