"""The daily scan as a task does it, on a small T-Developer with its ledger: clean, weakened, mended."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from sandbox.releases import RELEASES_BUCKET, SOURCE, source_of
from tdev_operators.core.items import ItemRef
from tdev_operators.core.security.run import moment_of_run
from tdev_operators.core.verdicts import Verdict
from tests.operators.test_metric_cleanup import system, tasks  # noqa: F401  fixtures

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


def scanned(run_id, run_after):
    from tdev_operators.operators.base import task_ports
    from tdev_operators.operators.security import SecurityScanOperator
    from tdev_operators.operators.work import Job

    run = SimpleNamespace(dag_id="tdev_daily", run_id=run_id, run_after=run_after)
    job = Job({"dag_run": run}, ItemRef("daily", "tdev_daily", run_id, "security_scan"), task_ports(), lambda: None)
    return SecurityScanOperator(task_id="scan").do(job)


@pytest.mark.timeout(500)
def test_a_clean_release_a_weak_one_and_a_mended_one(tasks):  # noqa: F811  the fixture
    def release(**changes):
        body = source_of({name.replace("__", "/"): text for name, text in changes.items()})
        tasks.objects.client().put_object(Bucket=RELEASES_BUCKET, Key=SOURCE, Body=body)

    now = datetime.now(UTC)
    clean = scanned("run-1", now)
    assert clean.verdict is Verdict.OK, clean.results
    assert {one.check for one in clean.out_of_scope} == {"scan.pip_audit", "scan.safety", "scan.dependency_check"}
    [image] = [one for one in clean.results if one.check == "scan.trivy_image"]
    assert image.coverage.seen == ("t-developer",)

    release(**{"src__engine": "", "src/shell.py": "import subprocess\n\nsubprocess.call(input(), shell=True)\n"})
    weak = scanned("run-2", now + timedelta(seconds=1))
    [judged] = [one for one in weak.results if one.check == "findings.open"]
    assert weak.verdict is Verdict.WARNING
    assert any("new: HIGH B602 src/shell.py:3 in t-developer source" in line for line in judged.details)
    release()
    assert scanned("run-3", now + timedelta(seconds=2)).verdict is Verdict.OK


@pytest.mark.parametrize(
    ("run_after", "at"),
    [
        (NOON - timedelta(minutes=20), NOON - timedelta(minutes=20)),
        (NOON - timedelta(days=2), NOON),
        (NOON + timedelta(minutes=1), NOON),
        (None, NOON),
    ],
)
def test_a_retry_is_of_its_runs_moment_and_what_is_cleared_later_of_now(run_after, at):
    assert moment_of_run(run_after, NOON) == at
