"""The daily security scan in a real Airflow, and its report on the page."""

import pytest

from tdev_operators.core.verdicts import Verdict
from tests.airflow.test_analysis import run


@pytest.mark.timeout(600)
def test_the_release_is_scanned_and_what_was_looked_at_is_told(house):
    state, found, page = run(house, "tdev_daily", "security_scan")
    bad = {name: one["summary"] for name, one in found.items() if one["verdict"] != Verdict.OK}
    assert (state, bad) == ("success", {})
    assert found["scan.trivy_image"]["coverage"]["canary_found"]
    assert {"scan.bandit", "scan.trivy_source", "findings.open", "findings.waivers"} < set(found)
    assert "PyPI&#39;s advisories" in page, "what is out of scope stands in the report"
