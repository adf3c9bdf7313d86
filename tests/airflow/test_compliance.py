"""The monthly compliance audit in a real Airflow: on its first day it proves little, and says so."""

import pytest

from tdev_operators.core.verdicts import Verdict
from tests.airflow.test_analysis import run


@pytest.mark.timeout(600)
@pytest.mark.faults
def test_what_was_never_looked_at_is_no_pass_and_the_record_is_sealed(house):
    drills = house.airflow.api("GET", "/dags/tdev_dr_drill/dagRuns").json()["dag_runs"]
    state, found, page = run(house, "tdev_monthly", "compliance_audit")
    assert state == "failed"
    assert len(found) == 14
    rehearsed = found["compliance.recovery-rehearsed"]
    if any(one["state"] == "success" for one in drills):  # by another test, before this one
        assert rehearsed["verdict"] == Verdict.OK, rehearsed
    else:
        assert rehearsed["verdict"] == Verdict.UNKNOWN
        assert "was never looked at" in rehearsed["summary"]
    assert found["compliance.trail-unbroken"]["verdict"] == Verdict.OK, found["compliance.trail-unbroken"]
    assert "SOC 2: A1.3; ISO 27001: A.5.29, A.5.30" in page
    bucket = house.system.objects.client()
    prefix = "t-developer/compliance/"
    keys = [one["Key"] for one in bucket.list_objects_v2(Bucket="t-developer-backups", Prefix=prefix)["Contents"]]
    assert f"{prefix}records/000001.json" in keys
    assert f"{prefix}reports/000001.html" in keys
