"""The conversion as tasks do it, on a small T-Developer with its ledger: looked at, approved, done, taken back."""

import pytest

from tdev_operators.core.errors import AccessDeniedError, InputError
from tests.operators.test_metric_cleanup import RUN, cleaned, context_of, metrics, system, tasks  # noqa: F401  fixtures

DAG = "tdev_partition_metrics"


@pytest.fixture(autouse=True)
def months(tasks, tmp_path, monkeypatch):  # noqa: F811  the fixture
    """A partition a month: a tenth of what the settings as shipped make."""
    text = tasks.settings_file.read_text(encoding="utf-8")
    assert 'step = "day"' in text
    (tmp_path / "tdev.toml").write_text(text.replace('step = "day"', 'step = "month"'), encoding="utf-8")
    monkeypatch.setenv("TDEV_SETTINGS", str(tmp_path / "tdev.toml"))


def done(run_id, user="lead", **asked):
    from tdev_operators.operators.partition_metrics import PartitionLookOperator, PartitionOperator

    params = {"dry_run": False, "action": "convert", "table": None, "now": True, **asked}
    context = context_of(DAG, run_id, user=user, **params)
    told = PartitionLookOperator(task_id="look").execute(context)
    operator = PartitionOperator(task_id="partition", approvals=["partition_metrics.approve"])
    return told, operator.execute(context)


@pytest.mark.faults
def test_a_dry_run_the_work_the_cleanup_and_the_way_back(tasks):  # noqa: F811  the fixture
    before = metrics(tasks)
    told, dry = done(f"{RUN}-1", dry_run=True)
    assert dry["summary"].startswith("Dry run: public.metrics would be converted. Nothing was touched.")
    assert "would be refused" not in dry["summary"].lower(), dry
    assert told["statements"] > len(told["told"]) > 0
    with pytest.raises(AccessDeniedError):
        done(f"{RUN}-2", user="stranger")
    assert done(f"{RUN}-4")[1]["verdict"] == "OK"
    assert metrics(tasks) == before
    outcome, _ = cleaned(f"{RUN}-5")
    assert outcome.verdict.value == "OK", outcome.results
    names = [one.check for one in outcome.results]
    assert {"retention.metrics", "retention.conservation", "retention.partitions_ahead", "retention.conversions"} < set(
        names
    )
    figures = {one.name: one.value for one in outcome.results[0].measurements}
    assert figures["partitions dropped"] >= 1
    with pytest.raises(InputError, match=r"public\.metrics_before_partitions stays until"):
        done(f"{RUN}-6", action="drop the former table")
    assert done(f"{RUN}-7", action="undo")[1]["verdict"] == "OK"
