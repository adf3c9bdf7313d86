"""Security Hub and Inspector at an AWS of moto's: enabled or not, and page by page."""

import pytest

from sandbox.aws import ACCOUNT, ControlPlanes
from sandbox.object_store import REGION
from tdev_operators.core.errors import SetupMissingError, TargetUnreachableError
from tdev_operators.core.security.security_hub import scan_hub
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.security_hub import AwsSecurityHub
from tests.core.security.test_security_hub import HOLE


@pytest.fixture(scope="module")
def aws(supervisor):
    running = ControlPlanes(supervisor, "test-security-hub").start()
    yield running
    running.stop()


def hub_at(endpoint):
    extra = {"region_name": REGION, "endpoint_url": endpoint}
    return AwsSecurityHub(ConnectionFacts("tdev_aws", "aws", login="sandbox", password="sandbox", extra=extra))


def test_all_pages_are_read(aws):
    client = aws.client("securityhub")
    times = {"CreatedAt": "2026-11-29T12:00:00Z", "UpdatedAt": "2026-11-29T12:00:00Z", "Description": "a hole"}
    for start in range(0, 250, 50):
        batch = [
            {**HOLE, **times, "Id": f"finding/{n}", "Resources": [{"Type": "Other", "Id": f"arn:aws:ec2:::{n}"}]}
            for n in range(start, start + 50)
        ]
        assert client.batch_import_findings(Findings=batch)["FailedCount"] == 0
    scan = scan_hub(hub_at(aws.endpoint_url), ["inspector"], ["EC2", "ECR"])
    assert scan.result.verdict is Verdict.OK, scan.result
    assert scan.result.summary == f"account 123456789012 in {REGION}: 250 findings of inspector."
    assert len({one.resource for one in scan.findings}) == 250


def test_inspector_that_does_not_look_is_named(aws):
    aws.client("inspector2").disable(accountIds=[ACCOUNT], resourceTypes=["ECR"])
    try:
        scan = scan_hub(hub_at(aws.endpoint_url), ["inspector"], ["EC2", "ECR"])
    finally:
        aws.client("inspector2").enable(accountIds=[ACCOUNT], resourceTypes=["ECR"])
    assert scan.result.verdict is Verdict.UNKNOWN
    assert "ECR in Inspector" in scan.result.coverage.skipped


def test_a_hub_that_is_not_enabled_says_so(aws):
    aws.client("securityhub").disable_security_hub()
    try:
        with pytest.raises(SetupMissingError, match="Security Hub is not enabled"):
            hub_at(aws.endpoint_url).subscribed_at()
    finally:
        aws.client("securityhub").enable_security_hub()


def test_nobody_there(free_port):
    with pytest.raises(TargetUnreachableError):
        hub_at(f"http://127.0.0.1:{free_port}").subscribed_at()
