"""The weekly item and the way back, as tasks do them, on a small T-Developer with its ledger."""

import logging
from types import SimpleNamespace

import pytest

from sandbox.system import Sandbox
from tdev_operators.core.errors import AccessDeniedError
from tdev_operators.core.items import ItemRef
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.connections import EnvironmentConnections
from tdev_operators.hooks.ledger_database import CONNECTION as LEDGER
from tdev_operators.hooks.ledger_schema import migrate

RUN = "manual__2026-11-29T03:30:00+00:00"


@pytest.fixture(scope="module")
def system():
    """A small T-Developer of our own, since its rows go; its ledger is set up."""
    with Sandbox.start("small", engine=False) as running:
        migrate(EnvironmentConnections(running.environment).get(LEDGER))
        yield running


@pytest.fixture
def tasks(system, monkeypatch):
    """Its connections and settings, as a task finds them."""
    sandbox = system
    for name, value in sandbox.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TDEV_SETTINGS", str(sandbox.settings_file))
    return sandbox


def context_of(dag_id, run_id, user="lead", **params):
    run = SimpleNamespace(
        dag_id=dag_id, run_id=run_id, run_type=SimpleNamespace(value="manual"), triggering_user_name=user
    )
    ti = SimpleNamespace(xcom_pull=lambda **_: {"approved_by": "deputy"})
    return {"dag_run": run, "params": params, "ti": ti}


def cleaned(run_id, **params):
    from tdev_operators.operators.base import task_ports
    from tdev_operators.operators.metric_cleanup import MetricCleanupOperator
    from tdev_operators.operators.work import Job

    ref = ItemRef("weekly", "tdev_weekly", run_id, "metric_cleanup")
    job = Job(context_of("tdev_weekly", run_id, **params), ref, task_ports(), lambda: None)
    job.ports.ledger.open_item(ref, job.ports.clock())
    outcome = MetricCleanupOperator(task_id="clean").do(job)
    job.ports.ledger.close_item(ref, outcome)
    return outcome, job.returned


def metrics(sandbox):
    with sandbox.database() as database:
        return database.execute("SELECT count(*) FROM metrics").fetchone()[0]


def test_a_dry_run_then_the_work_then_the_way_back(tasks, caplog):
    from tdev_operators.operators.restore_metrics import GiveBackLookOperator, GiveBackOperator

    before = metrics(tasks)
    outcome, _ = cleaned(f"{RUN}-dry", care_dry_run=True)
    assert outcome.verdict is Verdict.OK
    assert any("DELETE FROM" in line for line in outcome.results[0].details)
    assert metrics(tasks) == before

    outcome, returned = cleaned(RUN)
    assert outcome.verdict is Verdict.OK, outcome.results
    figures = {one.name: one.value for one in outcome.results[0].measurements}
    assert figures["archived"] > 0
    assert figures["discarded"] > 0
    assert metrics(tasks) == before - figures["archived"] - figures["discarded"]

    asked = {"archive": returned["retention_id"], "table": None, "into": "into the table", "dry_run": False}
    caplog.set_level(logging.INFO)
    with pytest.raises(AccessDeniedError):
        GiveBackLookOperator(task_id="look").execute(context_of("tdev_restore_metrics", RUN, user="stranger", **asked))
    told = GiveBackLookOperator(task_id="look").execute(context_of("tdev_restore_metrics", RUN, **asked))["told"]
    assert f"{figures['archived']:,} rows" in told
    give = GiveBackOperator(task_id="give_back", approvals=["restore_metrics.approve"])
    with pytest.raises(AccessDeniedError):  # who asked is who approved
        give.execute(context_of("tdev_restore_metrics", RUN, user="deputy", **asked))
    assert give.execute(context_of("tdev_restore_metrics", RUN, **asked))["verdict"] == "OK"
    assert metrics(tasks) == before - figures["discarded"]
