"""The daily look at certificates in a real Airflow, and the form of a renewal by hand."""

import pytest

from tdev_operators.core.verdicts import Verdict
from tests.airflow.test_analysis import run


@pytest.mark.timeout(600)
@pytest.mark.faults
def test_a_certificate_that_is_over_is_one_red_result_of_four(house):
    former = house.system.tls.served("ws.t-developer.com")
    house.system.tls.replace("ws.t-developer.com", days_left=-2)
    try:
        state, found, page = run(house, "tdev_daily", "certificate_management")
    finally:
        house.system.tls.restore("ws.t-developer.com", former)
    assert state == "failed"
    assert len(found) == 4
    [(name, red)] = [(name, one) for name, one in found.items() if one["verdict"] != Verdict.OK]
    assert name == f"certificate.ws.t-developer.com:{house.system.tls.port}"
    assert "expired 2.0 days ago" in red["summary"]
    assert "expired 2.0 days ago" in page

    run_id = house.airflow.trigger("tdev_renew_certificate", {"certificate": "api.t-developer.com", "dry_run": True})
    assert house.airflow.wait_for_run("tdev_renew_certificate", run_id) == "success"
    told = house.airflow.xcom("tdev_renew_certificate", run_id, "renew_certificate.renew")
    assert "is not due: nothing would be done" in told["summary"]
