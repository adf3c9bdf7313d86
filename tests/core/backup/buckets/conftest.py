"""A source bucket and its sets."""

import secrets

import pytest

from tdev_operators.hooks.backup_store import S3BackupStore
from tdev_operators.hooks.connections import ConnectionFacts
from tests.core.backup.buckets.worlds import World


@pytest.fixture
def real(s3_server):
    extra = {"region_name": "us-east-1", "endpoint_url": s3_server.endpoint_url}
    facts = ConnectionFacts("tdev_aws", "aws", login=s3_server.access_key, password=s3_server.secret_key, extra=extra)
    # No test waits for a fault of the server's; patience is for a busy machine.
    with S3BackupStore(facts, patience_seconds=20) as store:
        yield store


@pytest.fixture
def world(real, s3_server, bucket):
    target = f"backups-{secrets.token_hex(6)}"
    s3_server.client.create_bucket(Bucket=target)
    return World(real, bucket, target)
