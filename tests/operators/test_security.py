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


@pytest.mark.timeout(500)
@pytest.mark.faults  # and in a real Airflow in tests/airflow/test_audit.py
def test_the_weekly_audit_looks_at_everything_and_tells_all_that_is_open(tasks):  # noqa: F811  the fixture
    from tdev_operators.operators.base import task_ports
    from tdev_operators.operators.security import SecurityAuditOperator
    from tdev_operators.operators.work import Job

    def audited(run_id):
        run = SimpleNamespace(dag_id="tdev_weekly", run_id=run_id, run_after=datetime.now(UTC))
        ref = ItemRef("weekly", "tdev_weekly", run_id, "security_audit")
        outcome = SecurityAuditOperator(task_id="audit").do(Job({"dag_run": run}, ref, task_ports(), lambda: None))
        return outcome, {one.check: one for one in outcome.results}

    body = source_of({"src/engine": "", "src/shell.py": "import subprocess\n\nsubprocess.call(input(), shell=True)\n"})
    tasks.objects.client().put_object(Bucket=RELEASES_BUCKET, Key=SOURCE, Body=body)
    outcome, found = audited("run-1")
    assert {one.check for one in outcome.out_of_scope} >= {"audit.buckets", "audit.packages", "scan.safety"}
    assert found["audit.airflow"].verdict is Verdict.UNKNOWN, "here is no Airflow"
    assert found["audit.database_access"].verdict is Verdict.WARNING
    assert any(line.startswith("grant: ") for line in found["audit.database_roles"].details)
    assert found["audit.readable_secrets"].verdict is Verdict.OK
    assert found["audit.software"].coverage.seen == ("t-developer", "t-developer source")
    prefix = f"t-developer/sbom/{datetime.now(UTC):%Y-%m-%d}/"
    bills = tasks.objects.client().list_objects_v2(Bucket="t-developer-backups", Prefix=prefix)["Contents"]
    assert [one["Key"].removeprefix(prefix) for one in bills] == ["t-developer-source.cdx.json", "t-developer.cdx.json"]
    assert any(line.startswith("open: HIGH B602 src/shell.py:3") for line in found["findings.open"].details)

    _, again = audited("run-2")
    assert "did not change" not in again["scan.bandit"].summary, "the audit skips nothing"
    secret = tasks.logs / "leak.log"
    secret.write_text("password=hunter2hunter2\n")
    secret.chmod(0o644)
    try:
        _, leaking = audited("run-3")
    finally:
        secret.unlink()
    assert leaking["audit.readable_secrets"].verdict is Verdict.CRITICAL
    assert str(secret) in leaking["audit.readable_secrets"].summary
