"""Certificates as tasks do them, on a small T-Developer with its ledger: well, then one that is over."""

from types import SimpleNamespace

import pytest

from tdev_operators.core.errors import InputError
from tdev_operators.core.items import ItemRef
from tdev_operators.core.verdicts import Verdict
from tests.operators.test_metric_cleanup import system, tasks  # noqa: F401  fixtures


def test_each_day_all_of_them_and_by_hand_one(tasks):  # noqa: F811  the fixture
    from tdev_operators.operators.base import task_ports
    from tdev_operators.operators.certificates import CertificateManageOperator, CertificateRenewOperator
    from tdev_operators.operators.work import Job

    def managed():
        ref = ItemRef("daily", "tdev_daily", "run-1", "certificate_management")
        return CertificateManageOperator(task_id="manage").do(Job({}, ref, task_ports(), lambda: None))

    well = managed()
    assert well.verdict is Verdict.OK, well.results
    assert [one.check.partition(":")[0] for one in well.results] == [
        "certificate.api.t-developer.com",
        "certificate.ws.t-developer.com",
        "certificate.monitor.t-developer.com",
        "certificate.acm",
    ]
    former = tasks.tls.served("ws.t-developer.com")
    tasks.tls.replace("ws.t-developer.com", days_left=-1)
    try:
        over = managed()
    finally:
        tasks.tls.restore("ws.t-developer.com", former)
    assert [one.verdict for one in over.results] == [Verdict.OK, Verdict.CRITICAL, Verdict.OK, Verdict.OK]

    def by_hand(**asked):
        run = SimpleNamespace(dag_id="tdev_renew_certificate", run_id=f"run-{len(asked)}")
        params = {"certificate": "", "force": False, "dry_run": False, **asked}
        task = SimpleNamespace(try_number=1)
        return CertificateRenewOperator(task_id="renew").execute({"dag_run": run, "params": params, "ti": task})

    told = by_hand(certificate="api.t-developer.com", dry_run=True)
    assert told["verdict"] == "OK"
    assert "is not due: nothing would be done" in told["summary"]
    with pytest.raises(InputError, match="renewed by somebody else"):
        by_hand(certificate="api.t-developer.com", force=True)
