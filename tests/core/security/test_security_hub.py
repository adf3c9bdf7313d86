"""Security Hub's findings as ours: by package and resource, never by digest; what it did not look at is not green."""

from datetime import UTC, datetime

import pytest

from tdev_operators.core.errors import AccessDeniedError, GarbledAnswerError
from tdev_operators.core.security.findings import identified
from tdev_operators.core.security.security_hub import findings_of, scan_hub
from tdev_operators.core.verdicts import Verdict

IMAGE = "arn:aws:ecr:us-east-1:123456789012:repository/t-developer"
INSPECTOR = "arn:aws:securityhub:us-east-1::product/aws/inspector"
# As Inspector sends it (AWS Security Finding Format), shortened.
HOLE = {
    "SchemaVersion": "2018-10-08",
    "Id": "arn:aws:inspector2:us-east-1:123456789012:finding/0f1",
    "ProductArn": INSPECTOR,
    "GeneratorId": "AWSInspector",
    "AwsAccountId": "123456789012",
    "Types": ["Software and Configuration Checks/Vulnerabilities/CVE"],
    "Title": "CVE-2019-10906 - jinja2",
    "Severity": {"Label": "HIGH", "Normalized": 70},
    "Resources": [{"Type": "AwsEcrContainerImage", "Id": f"{IMAGE}/sha256:{'a' * 64}", "Partition": "aws"}],
    "Vulnerabilities": [
        {
            "Id": "CVE-2019-10906",
            "VulnerablePackages": [
                {"Name": "Jinja2", "Version": "2.10", "PackageManager": "PYTHON", "FixedInVersion": "2.10.1"}
            ],
            "Cvss": [{"Version": "2.0", "BaseScore": 9.9}, {"Version": "3.1", "BaseScore": 8.6}],
            "RelatedVulnerabilities": ["GHSA-462w-v97r-4m45"],
        }
    ],
    "RecordState": "ACTIVE",
    "Workflow": {"Status": "NEW"},
}
CONTROL = {
    **{key: value for key, value in HOLE.items() if key != "Vulnerabilities"},
    "ProductArn": "arn:aws:securityhub:us-east-1::product/aws/securityhub",
    "Title": "S3 general purpose buckets should block public access",
    "Compliance": {"Status": "FAILED", "SecurityControlId": "S3.8"},
    "Resources": [{"Id": "arn:aws:s3:::one"}, {"Id": "arn:aws:s3:::two"}],
}


class Hub:
    title = "account 123456789012 in us-east-1"

    def __init__(self, *found, states=None, error=None):
        self.found, self.states, self.error = found, states or {"EC2": "ENABLED", "ECR": "ENABLED"}, error

    def subscribed_at(self):
        if self.error:
            raise self.error
        return datetime(2026, 1, 1, tzinfo=UTC)

    def inspector(self):
        return self.states

    def findings(self, products):
        yield from self.found


def test_a_vulnerable_package_is_one_finding_a_resource_without_its_digest():
    [one] = findings_of(HOLE)
    assert (one.rule, one.package, one.version, one.fixed_in, one.cvss) == (
        *("CVE-2019-10906", "pkg:pypi/jinja2"),
        *("2.10", "2.10.1", 8.6),
    )
    assert one.resource == IMAGE
    later = {**HOLE, "Resources": [{"Id": f"{IMAGE}/sha256:{'b' * 64}"}]}
    [again] = identified(findings_of(later))
    assert again.identity == identified([one])[0].identity, "tonight's build"
    elsewhere = {**HOLE, "Resources": [{"Id": f"{IMAGE}-other/sha256:{'b' * 64}"}]}
    assert len(identified([one, *findings_of(elsewhere)])) == 2


def test_a_control_that_failed_is_one_finding_a_resource():
    found = identified(findings_of(CONTROL))
    assert [(one.rule, one.path) for one in found] == [("S3.8", "arn:aws:s3:::one"), ("S3.8", "arn:aws:s3:::two")]


def test_what_one_generator_says_of_one_resource_is_not_one_finding():
    ports = [
        {**{k: v for k, v in CONTROL.items() if k != "Compliance"}, "GeneratorId": "AWSInspector", "Title": title}
        for title in ("Port 22 is reachable", "Port 3389 is reachable")
    ]
    assert len(identified([one for each in ports for one in findings_of(each)])) == 4


def test_what_is_there_is_told_and_ends_what_is_not():
    scan = scan_hub(Hub(HOLE), ["inspector"], ["EC2", "ECR"])
    assert scan.result.verdict is Verdict.OK
    assert scan.result.summary == "account 123456789012 in us-east-1: 1 finding of inspector."
    assert scan.complete
    assert len(scan.findings) == 1


@pytest.mark.parametrize(
    ("hub", "sentence"),
    [
        (Hub(states={"EC2": "ENABLED", "ECR": "DISABLED"}), "its state is DISABLED; enable it there"),
        (Hub(states={"EC2": "ENABLED"}), "its state is unknown"),
        (Hub(states={"": ""}), "its state is unknown"),
        (Hub(error=AccessDeniedError("AWS Security Hub refused our credentials.")), "refused our credentials"),
        (Hub(CONTROL), "has answered with findings of securityhub"),
        (Hub({**HOLE, "Resources": 5}), "unknown shape"),
        (Hub({**HOLE, "Severity": {}}), "unknown shape"),
        (Hub("odd"), "unknown shape"),
    ],
)
def test_a_hub_that_was_not_seen_whole_is_not_green(hub, sentence):
    scan = scan_hub(hub, ["inspector"], ["EC2", "ECR"])
    assert scan.result.verdict is Verdict.UNKNOWN
    assert sentence in scan.result.summary + str(scan.result.coverage.skipped)
    assert not scan.complete


def test_a_finding_of_another_product_is_not_taken_for_what_was_asked():
    with pytest.raises(GarbledAnswerError):
        findings_of(CONTROL, ["inspector"])
    assert findings_of(CONTROL, [])
