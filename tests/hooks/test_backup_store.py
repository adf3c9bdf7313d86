"""The store of back-ups on a real S3 server on disk, whose lies are well known, and on moto where that cannot."""

import os
from datetime import UTC, datetime, timedelta

import pytest

from sandbox.aws import ControlPlanes
from sandbox.web_hooks import WebHooks
from tdev_operators.core.errors import BusyError, GarbledAnswerError, InputError
from tdev_operators.core.ports import ObjectInfo
from tdev_operators.hooks import backup_store, backup_uploads, s3_deletions
from tdev_operators.hooks.backup_store import S3BackupStore
from tdev_operators.hooks.connections import ConnectionFacts

MIB = 1024 * 1024
NASTY = [
    "plain/key.py",
    "with blank.py",
    "plus+and%percent%20.py",
    "ünï/cödé.py",
    "question?and#hash.py",
    "quote'\"<&>.py",
    "a=b;c,d@e!f$(g).py",
    "dots/..name/x.py",
    "tilde~star*.py",
    "back\\slash.py",
    "colon:pipe|.py",
    "cafe\u0301/日本/😀\u00a0.py",
    " leading and trailing ",
    "a-b",
    "a.b",
    "a/b",
    "a0b",
]
# What only some stores take, and obstore cannot say.
NASTIER = ["/leading", "trailing/", "two//slashes", "..", "a/../b", "a/./b", ".", "tab\there", "\x7f"]


def facts_of(endpoint, login, password):
    extra = {"region_name": "us-east-1", "endpoint_url": endpoint}
    return ConnectionFacts("tdev_aws", "aws", login=login, password=password, extra=extra)


@pytest.fixture
def store(s3_server):
    facts = facts_of(s3_server.endpoint_url, s3_server.access_key, s3_server.secret_key)
    with S3BackupStore(facts, patience_seconds=2) as opened:
        yield opened


@pytest.fixture(scope="module")
def moto(supervisor):
    hooks = WebHooks(supervisor, "store-hooks").start()
    planes = ControlPlanes(supervisor, subscriber=hooks.sns_url, name="store-moto").start()
    yield planes
    planes.stop()
    hooks.stop()


@pytest.fixture
def aws_store(moto):
    with S3BackupStore(facts_of(moto.endpoint_url, "test", "test"), patience_seconds=2) as opened:
        client = opened._requests.client
        name = f"aws-{os.urandom(6).hex()}"
        client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
        yield opened, client, name


def test_what_is_put_is_found_listed_read_and_deleted(store, bucket):
    for key in NASTY:
        put = store.put(bucket, key, key.encode())
        assert (put.key, put.size_bytes) == (key, len(key.encode()))
    listed = list(store.list(bucket))
    assert [info.key for info in listed] == sorted(NASTY, key=str.encode)
    assert all(info.modified.tzinfo is not None and '"' not in info.etag for info in listed)
    for info, body in store.read_many(bucket, listed):
        assert body == info.key.encode()
        assert b"".join(store.read(bucket, info.key)) == body
        assert store.find(bucket, info.key).etag == info.etag
    store.delete(bucket, NASTY)
    assert list(store.list(bucket)) == []
    store.delete(bucket, NASTY)
    assert store.find(bucket, NASTY[0]) is None
    assert {"LIST", "GET", "PUT", "HEAD", "DELETE"} <= store.requests.keys()


def test_keys_that_obstore_cannot_say_are_read_all_the_same(aws_store):
    store, client, name = aws_store
    for key in [*NASTY, *NASTIER]:
        client.put_object(Bucket=name, Key=key, Body=key.encode())
    listed = list(store.list(name))
    assert {info.key for info in listed} == {*NASTY, *NASTIER}
    wanted = [*listed, *reversed(listed)]
    read = list(store.read_many(name, wanted))
    assert [(info.key, body) for info, body in read] == [(info.key, info.key.encode()) for info in wanted]
    assert [info.etag for info, _ in read] == [info.etag for info in wanted]


def test_a_listing_of_many_pages_is_whole_in_order_and_starts_anywhere(store, s3_server, bucket):
    keys = [f"k/{number:05d}" for number in range(2_300)]
    (s3_server.folder / bucket / "k").mkdir()
    for key in keys:
        (s3_server.folder / bucket / key).write_bytes(b"x")
    store.put(bucket, "other", b"x")
    assert [info.key for info in store.list(bucket, "k/")] == keys
    assert next(store.list(bucket, "k/", after="k/01999")).key == "k/02000"


def test_a_bucket_that_is_gone_is_said(store):
    with pytest.raises(InputError, match="bucket no-such-bucket"):
        list(store.list("no-such-bucket"))


@pytest.mark.parametrize("size", [0, 5, 8 * MIB, 8 * MIB + 1, 21 * MIB])
def test_uploads_of_any_size_arrive_whole(store, bucket, size):
    content = os.urandom(min(size, MIB)) * (size // MIB) + os.urandom(size % MIB) if size >= MIB else b"x" * size
    with store.upload(bucket, "up") as upload:
        for at in range(0, len(content), 700_001):
            upload.write(content[at : at + 700_001])
        stored = upload.complete()
    assert stored.size_bytes == len(content)
    assert b"".join(store.read(bucket, "up")) == content
    if size > 100:
        assert b"".join(store.read(bucket, "up", start=11, length=50)) == content[11:61]
    assert list(store.open_uploads(bucket, "")) == []


def test_an_upload_that_is_not_completed_leaves_nothing(store, bucket):
    with pytest.raises(ZeroDivisionError), store.upload(bucket, "half") as upload:
        upload.write(b"x" * 20 * MIB) or 1 / 0
    with store.upload(bucket, "half") as upload:
        upload.write(b"x")
    assert store.find(bucket, "half") is None
    assert list(store.open_uploads(bucket, "")) == []


def test_leftovers_of_a_dead_worker_are_found_and_aborted(store, s3_server, bucket):
    s3_server.client.create_multipart_upload(Bucket=bucket, Key="ours/dead")
    s3_server.client.create_multipart_upload(Bucket=bucket, Key="theirs/dead")
    (left,) = store.open_uploads(bucket, "ours/")
    store.abort(bucket, left)
    store.abort(bucket, left)
    assert [upload.key for upload in store.open_uploads(bucket, "")] == ["theirs/dead"]


def test_parts_grow_so_that_ten_thousand_hold_more_than_a_terabyte():
    sizes = [backup_uploads.part_bytes(number) for number in range(1, 10_001)]
    assert sizes[0] == 8 * MIB
    assert sizes == sorted(sizes)
    assert sum(sizes) > 1 << 40
    assert max(sizes) < 5 << 30


def test_a_missing_object_is_an_input_error_and_a_large_one_is_not_read_whole(store, bucket):
    with pytest.raises(InputError):
        list(store.read(bucket, "nothing"))
    store.put(bucket, "big", b"x" * 100)
    with pytest.raises(InputError, match="more than the 10"):
        store.read_whole(bucket, "big", max_bytes=10)
    assert store.read_whole(bucket, "big", max_bytes=100) == b"x" * 100
    with pytest.raises(InputError, match="ends at byte 100"):
        list(store.read(bucket, "big", start=90, length=11))
    missing = ObjectInfo("gone", 1, "e", datetime.now(UTC))
    ((_, error),) = store.read_many(bucket, [missing])
    assert isinstance(error, InputError)


def test_only_if_absent_holds_also_where_the_store_ignores_it(store, bucket, aws_store):
    for one, name in ((store, bucket), (aws_store[0], aws_store[2])):
        one.put(name, "once", b"1", only_if_absent=True)
        with pytest.raises(BusyError):
            one.put(name, "once", b"2", only_if_absent=True)
        assert one.read_whole(name, "once", max_bytes=10) == b"1"


def test_copies_are_those_of_the_etag_asked_for(store, s3_server, bucket):
    source = store.put(bucket, "from here", b"content")
    copied = store.copy(bucket, source, bucket, "to/there")
    assert store.read_whole(bucket, copied.key, max_bytes=10) == b"content"
    store.put(bucket, "from here", b"changed")
    with pytest.raises(InputError, match="gone or was overwritten"):
        store.copy(bucket, source, bucket, "to/there2")
    store.delete(bucket, ["from here"])
    with pytest.raises(InputError):
        store.copy(bucket, source, bucket, "to/there3")


def test_a_copy_that_the_store_only_claims_is_carried_over(store, bucket, monkeypatch):
    # This server answers 200 to UploadPartCopy and copies nothing.
    monkeypatch.setattr(backup_store, "COPY_LIMIT_BYTES", 10)
    content = os.urandom(200_000)
    source = store.put(bucket, "large", content)
    copied = store.copy(bucket, source, bucket, "copy")
    assert copied.size_bytes == len(content)
    assert b"".join(store.read(bucket, "copy")) == content
    assert list(store.open_uploads(bucket, "")) == []


def test_a_large_copy_goes_by_parts_on_a_store_that_can(aws_store, monkeypatch):
    store, client, name = aws_store
    monkeypatch.setattr(backup_store, "COPY_LIMIT_BYTES", 10)
    monkeypatch.setattr(backup_uploads, "COPY_PART_BYTES", 5 * MIB)
    content = os.urandom(12 * MIB)
    client.put_object(Bucket=name, Key="large", Body=content, ContentType="text/x", Metadata={"agent": "7"})
    source, before = store.find(name, "large"), dict(store.requests)
    copied = store.copy(name, source, name, "copy")
    assert store.requests["COPY"] == before.get("COPY", 0) + 3
    assert store.requests.get("GET", 0) == before.get("GET", 0)
    assert copied.etag.endswith("-3")
    assert b"".join(store.read(name, "copy")) == content
    head = client.head_object(Bucket=name, Key="copy")
    assert (head["ContentType"], head["Metadata"]) == ("text/x", {"agent": "7"})
    client.put_object(Bucket=name, Key="large", Body=content[::-1])
    with pytest.raises(InputError, match="gone or was overwritten"):
        store.copy(name, source, name, "copy2")
    assert list(store.open_uploads(name, "")) == []


def test_protection_is_told_or_unknown(store, bucket, aws_store):
    here = store.protection(bucket, "app/")
    assert here.conditional_writes is False
    assert not here.versioning
    assert not here.object_lock
    aws, client, name = aws_store
    there = aws.protection(name, "app/")
    assert (there.versioning, there.object_lock, there.expiring_rules) == (True, True, ())
    assert there.conditional_writes is True
    rule = {"ID": "eats-us", "Status": "Enabled", "Expiration": {"Days": 3}}
    tag = {"Key": "temporary", "Value": "1"}
    marks = {"ID": "marks", "Status": "Enabled", "Expiration": {"ExpiredObjectDeleteMarker": True}}
    rules = [
        {**rule, "Filter": {"Prefix": "app/0"}},
        {**rule, "ID": "tagged", "Filter": {"Tag": tag}},
        {**rule, "ID": "old", "Filter": {"And": {"Prefix": "app/", "ObjectSizeGreaterThan": 5}}},
        {**marks, "Filter": {"Prefix": ""}},
        {**rule, "ID": "other", "Filter": {"Prefix": "logs/"}},
        {**rule, "ID": "off", "Status": "Disabled", "Filter": {"Prefix": ""}},
        {**rule, "ID": "all", "Filter": {"Prefix": ""}},
    ]
    client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})
    assert aws.protection(name, "app/").expiring_rules == ("eats-us", "old", "all")
    assert [info.key for info in aws.list(name)] == [], "the probe is removed"
    with pytest.raises(InputError, match="no-such-bucket"):
        aws.protection("no-such-bucket", "app/")


def test_encryption_on_the_servers_side_is_asked_for(moto, aws_store):
    _, client, name = aws_store
    with S3BackupStore(facts_of(moto.endpoint_url, "test", "test"), server_side_encryption="AES256") as store:
        store.put(name, "one", b"1")
        with store.upload(name, "two") as upload:
            upload.write(b"2" * 9 * MIB)
            upload.complete()
        store.copy(name, store.find(name, "one"), name, "three")
    for key in ("one", "two", "three"):
        assert client.head_object(Bucket=name, Key=key)["ServerSideEncryption"] == "AES256"


def test_the_stores_clock(store):
    assert abs(store.server_time() - datetime.now(UTC)) < timedelta(seconds=5)


def test_what_is_deleted_and_stays_is_an_error(store, s3_server, bucket):
    keys = [f"set/{number}" for number in range(5)]
    for left in (keys[0], keys[3]):
        for key in keys:
            store.put(bucket, key, b"x")
        with S3BackupStore(store._requests.facts) as other:
            client = other._requests.client

            def delete(real=client.delete_objects, left=left, **request):
                asked = [each for each in request["Delete"]["Objects"] if each["Key"] != left]
                return real(Bucket=request["Bucket"], Delete={"Objects": asked})

            client.delete_objects = delete
            with pytest.raises(GarbledAnswerError, match=f"{left} .*still there"):
                other.delete(bucket, keys)


def test_a_delete_among_many_others_looks_at_each(store, s3_server, bucket, monkeypatch):
    monkeypatch.setattr(s3_deletions, "_KEYS_A_REQUEST", 10)
    for number in range(40):
        store.put(bucket, f"k{number:02d}", b"x")
    store.delete(bucket, ["k00", "k39"])
    assert len(list(store.list(bucket))) == 38


def test_a_listing_out_of_order_is_not_believed(store, bucket):
    for key in ("a", "b", "c"):
        store.put(bucket, key, b"x")
    client = store._requests.client
    real = client.list_objects_v2

    def swapped(**request):
        answer = real(**request)
        answer["RawListing"] = answer["RawListing"].replace(b"<Key>b<", b"<Key>d<")
        return answer

    client.list_objects_v2 = swapped
    with pytest.raises(GarbledAnswerError, match="has c behind d"):
        list(store.list(bucket))
