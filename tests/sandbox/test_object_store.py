"""The S3 server, and the two lies of it that the product has to live with."""

import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError

from sandbox.object_store import s3_client


def test_it_ignores_if_none_match_and_overwrites(s3_server, bucket):
    client = s3_server.client
    client.put_object(Bucket=bucket, Key="once", Body=b"first", IfNoneMatch="*")
    answer = client.put_object(Bucket=bucket, Key="once", Body=b"second", IfNoneMatch="*")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200  # a truthful store says 412
    assert client.get_object(Bucket=bucket, Key="once")["Body"].read() == b"second"


def test_it_says_that_it_copied_a_part_and_did_not(s3_server, bucket):
    client = s3_server.client
    client.put_object(Bucket=bucket, Key="source", Body=b"x" * 6_000_000)
    upload = client.create_multipart_upload(Bucket=bucket, Key="target")["UploadId"]
    answer = client.upload_part_copy(
        Bucket=bucket, Key="target", UploadId=upload, PartNumber=1, CopySource={"Bucket": bucket, "Key": "source"}
    )
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert "ETag" not in answer.get("CopyPartResult", {})
    client.abort_multipart_upload(Bucket=bucket, Key="target", UploadId=upload)


def test_it_has_no_versioning(s3_server, bucket):
    with pytest.raises(ClientError):
        s3_server.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def test_multipart_and_server_side_copy_work(s3_server, bucket):
    client = s3_server.client
    upload = client.create_multipart_upload(Bucket=bucket, Key="large")["UploadId"]
    parts = [
        {
            "PartNumber": number,
            "ETag": client.upload_part(
                Bucket=bucket, Key="large", UploadId=upload, PartNumber=number, Body=bytes([number]) * 5_300_000
            )["ETag"],
        }
        for number in (1, 2)
    ]
    client.complete_multipart_upload(Bucket=bucket, Key="large", UploadId=upload, MultipartUpload={"Parts": parts})
    client.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "large"})
    assert client.head_object(Bucket=bucket, Key="copy")["ContentLength"] == 10_600_000


def test_strangers_are_refused(s3_server, bucket):
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(f"{s3_server.endpoint_url}/{bucket}", timeout=5)
    assert refusal.value.code == 400  # a refusal, though not the 403 of other stores
    refusal.value.close()
    with pytest.raises(ClientError):
        s3_client(s3_server.endpoint_url, s3_server.access_key, "wrong").list_objects_v2(Bucket=bucket)
