"""A bucket's settings at an AWS of moto's, and at a small store that cannot tell."""

import json

import pytest

from sandbox.aws import ControlPlanes
from sandbox.object_store import REGION
from tdev_operators.core.errors import InputError, TargetUnreachableError
from tdev_operators.hooks.bucket_house import S3BucketInspector
from tdev_operators.hooks.connections import ConnectionFacts

REFUSES_PLAIN = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::guarded", "arn:aws:s3:::guarded/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    },
}


@pytest.fixture(scope="module")
def aws(supervisor):
    running = ControlPlanes(supervisor, "test-bucket-house").start()
    yield running
    running.stop()


def inspector_at(endpoint, **login):
    extra = {"region_name": REGION, "endpoint_url": endpoint}
    login = login or {"login": "sandbox", "password": "sandbox"}
    return S3BucketInspector(ConnectionFacts("tdev_aws", "aws", extra=extra, **login))


def test_what_is_set_is_told_and_what_is_not_as_well(aws):
    client = aws.client("s3")
    client.create_bucket(Bucket="bare")
    client.create_bucket(Bucket="guarded")
    client.put_bucket_versioning(Bucket="guarded", VersioningConfiguration={"Status": "Enabled"})
    client.put_bucket_policy(Bucket="guarded", Policy=json.dumps(REFUSES_PLAIN))
    client.put_bucket_encryption(
        Bucket="guarded",
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]
        },
    )
    client.put_bucket_lifecycle_configuration(
        Bucket="guarded",
        LifecycleConfiguration={"Rules": [{"ID": "old", "Status": "Enabled", "Prefix": "", "Expiration": {"Days": 9}}]},
    )
    inspector = inspector_at(aws.endpoint_url)
    guarded, bare = inspector.house("guarded"), inspector.house("bare")
    assert (guarded.versioning, guarded.encryption, guarded.transport) == (True, "aws:kms", True)
    assert '"ID": "old"' in guarded.lifecycle[0]
    assert '"Effect": "Deny"' in guarded.policy[0]
    assert (bare.versioning, bare.transport, bare.policy, bare.lifecycle) == (False, False, [], [])
    with pytest.raises(InputError):
        inspector.house("no-such-bucket")


def test_a_small_store_cannot_tell(s3_server, bucket):
    found = inspector_at(s3_server.endpoint_url, login=s3_server.access_key, password=s3_server.secret_key).house(
        bucket
    )
    assert (found.encryption, found.transport, found.policy) == (None, None, None)
    assert found.rights_missing == {}


def test_one_that_is_away_is_unreachable():
    with pytest.raises(TargetUnreachableError):
        inspector_at("http://127.0.0.1:1").house("x")


@pytest.mark.parametrize(
    "change",
    [
        {"Action": "s3:PutObject"},
        {"Resource": "arn:aws:s3:::guarded/prefix/*"},
        {"Principal": {"AWS": "arn:aws:iam::1:root"}},
        {"Effect": "Allow"},
        {"Condition": {"Bool": {"aws:SecureTransport": "false"}, "StringEquals": {"aws:Referer": "hush-hush"}}},
    ],
)
def test_a_statement_that_refuses_only_some_is_no_tls_for_all(aws, change):
    client = aws.client("s3")
    client.create_bucket(Bucket="guarded")
    statement = {**REFUSES_PLAIN["Statement"], **change}
    client.put_bucket_policy(Bucket="guarded", Policy=json.dumps({**REFUSES_PLAIN, "Statement": statement}))
    house = inspector_at(aws.endpoint_url).house("guarded")
    assert house.transport is False
    assert "hush-hush" not in str(house)
