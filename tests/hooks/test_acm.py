"""Certificate Manager at an AWS of moto's: every key is listed, and what it says is read."""

from datetime import UTC, datetime, timedelta

import pytest

from sandbox.aws import ControlPlanes
from sandbox.certificates import Authority
from sandbox.object_store import REGION
from tdev_operators.core.errors import InputError, TargetUnreachableError
from tdev_operators.hooks.acm import AwsCertificateManager
from tdev_operators.hooks.connections import ConnectionFacts

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def aws(supervisor):
    running = ControlPlanes(supervisor, "test-acm").start()
    yield running
    running.stop()


def manager_at(endpoint):
    extra = {"region_name": REGION, "endpoint_url": endpoint}
    return AwsCertificateManager(ConnectionFacts("tdev_aws", "aws", login="sandbox", password="sandbox", extra=extra))


def test_issued_and_imported_ones_are_told_apart(aws):
    client, mark = aws.client("acm"), "-----BEGIN CERTIFICATE-----"
    asked = client.request_certificate(DomainName="api.t-developer.com", ValidationMethod="DNS")["CertificateArn"]
    pem = (
        Authority().issue("ws.t-developer.com", since=NOW - timedelta(days=1), until=NOW + timedelta(days=40)).decode()
    )
    key, leaf, above = pem.partition(mark)[0], mark + pem.split(mark)[1], mark + pem.split(mark)[2]
    imported = client.import_certificate(Certificate=leaf, PrivateKey=key, CertificateChain=above)["CertificateArn"]
    manager = manager_at(aws.endpoint_url)
    found = {one.arn: one for one in manager.all()}
    assert set(found) == {asked, imported}
    assert found[imported].imported
    assert not found[asked].imported
    assert found[imported].ends == NOW + timedelta(days=40)
    assert "ws.t-developer.com" in found[imported].names
    assert found[imported].serial > 0
    assert manager.find(asked).names == ("api.t-developer.com",)
    with pytest.raises(InputError):
        manager.find("arn:aws:acm:us-east-1:123456789012:certificate/0000")


def test_one_that_is_away_is_unreachable():
    with pytest.raises(TargetUnreachableError):
        list(manager_at("http://127.0.0.1:1").all())
