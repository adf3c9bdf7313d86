"""The store of back-ups behind a line and a server that break on purpose: a real S3 server behind `S3Proxy`."""

import os
import time
from urllib.parse import urlsplit

import pytest

from sandbox.fault_proxy import (
    Answer,
    Call,
    Drip,
    EndResponse,
    Hang,
    LoseAnswer,
    ResetRequest,
    S3Proxy,
    When,
    asking,
    error_in_200,
    expired_token,
    internal_error,
    no_such_bucket,
    slow_down,
)
from tdev_operators.core.errors import (
    AccessDeniedError,
    BusyError,
    GarbledAnswerError,
    InputError,
    TargetTimeoutError,
    TargetUnreachableError,
    ThrottledError,
    TransientError,
)
from tdev_operators.hooks import resumed_reads, s3_requests, small_reads
from tdev_operators.hooks.backup_store import S3BackupStore
from tdev_operators.hooks.connections import ConnectionFacts

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def proxy(s3_server):
    with S3Proxy(urlsplit(s3_server.endpoint_url).port) as running:
        yield running


@pytest.fixture
def store(s3_server, proxy, monkeypatch):
    monkeypatch.setattr(s3_requests, "_FIRST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(resumed_reads, "_FIRST_PAUSE_SECONDS", 0.02)
    extra = {"region_name": "us-east-1", "endpoint_url": proxy.endpoint_url}
    facts = ConnectionFacts("tdev_aws", "aws", login=s3_server.access_key, password=s3_server.secret_key, extra=extra)
    with S3BackupStore(facts, timeout_seconds=2, patience_seconds=1.5) as opened:
        yield opened
    proxy.faults.disarm_all()


def put_large(store, bucket, key="up", size=20 * MIB):
    content = os.urandom(size)
    with store.upload(bucket, key) as upload:
        upload.write(content)
        stored = upload.complete()
    return content, stored


def test_throttling_is_waited_out_as_long_as_asked_and_given_up_in_time(store, proxy, bucket):
    store._requests._patience = 30  # a busy machine answers late
    started = time.monotonic()
    with proxy.faults.armed(slow_down(1), matching=asking("PutObject"), times=2):
        store.put(bucket, "patient", b"1")
    assert time.monotonic() - started >= 2
    store._requests._patience = 0.5
    with proxy.faults.armed(slow_down(1), times=None) as fault, pytest.raises(ThrottledError):
        store.put(bucket, "impatient", b"1")
    assert fault.fired == 1, "whoever may not come again in time does not come again at once"
    with proxy.faults.armed(Answer(429, "TooManyRequests"), matching=asking("ListObjectsV2"), times=2):
        assert [info.key for info in store.list(bucket)] == ["patient"]


def test_small_reads_slow_down_with_a_store_that_throttles_and_end_when_it_is_away(store, proxy, bucket, monkeypatch):
    for number in range(40):
        store.put(bucket, f"k{number:02d}", b"x")
    listed = list(store.list(bucket))
    with proxy.faults.armed(slow_down(0), matching=asking("GetObject"), times=60) as fault:
        read = list(store.read_many(bucket, listed))
    assert fault.fired == 60
    assert [(info.key, body) for info, body in read] == [(info.key, b"x") for info in listed]
    monkeypatch.setattr(small_reads, "_HOPELESS", 8)
    seen = []
    with proxy.faults.armed(slow_down(1), matching=asking("GetObject"), times=None), pytest.raises(ThrottledError):
        seen.extend(store.read_many(bucket, listed))
    assert len(seen) == 7
    assert all(isinstance(error, ThrottledError) for _, error in seen)


@pytest.mark.parametrize("fault", [EndResponse(after_bytes=30), LoseAnswer(), internal_error(), Hang()])
def test_small_reads_survive_one_fault(store, proxy, bucket, fault):
    body = os.urandom(3000)
    info = store.put(bucket, "k", body)
    with proxy.faults.armed(fault, matching=asking("GetObject")):
        ((found, read),) = store.read_many(bucket, [info])
    assert (found.etag, read) == (info.etag, body)


@pytest.mark.seeded(4)
@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "HeadObject"])
@pytest.mark.parametrize(
    "fault",
    [LoseAnswer(), internal_error(), ResetRequest(), ResetRequest(MIB)],
    ids=["lost", "internal_error", "reset", "reset_in_the_middle"],
)
def test_an_upload_survives_one_fault_anywhere(store, proxy, bucket, operation, fault):
    store._requests._patience = 30  # a busy machine may need more than the fixture's for a single answer
    with proxy.faults.armed(fault, matching=asking(operation)):
        content, stored = put_large(store, bucket, size=9 * MIB)
    assert stored.size_bytes == len(content)
    assert b"".join(store.read(bucket, "up")) == content
    assert list(store.open_uploads(bucket, "")) == []


@pytest.mark.seeded(3)
@pytest.mark.parametrize("operation", ["UploadPart", "CompleteMultipartUpload"])
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (ResetRequest(100), TargetUnreachableError),
        (slow_down(9), ThrottledError),
        (expired_token(), AccessDeniedError),
        (Answer(404, "NoSuchUpload"), BusyError),
        (no_such_bucket(), InputError),
    ],
    ids=["reset", "throttled", "expired", "ended", "bucket_gone"],
)
def test_an_upload_that_fails_is_aborted_and_says_why(store, proxy, bucket, operation, fault, expected):
    store._requests._patience = 0.2
    with (
        proxy.faults.armed(fault, matching=asking(operation), times=None),
        pytest.raises(expected, match=r"^The object up in the bucket [^\n]+[^.]\.$"),
    ):
        put_large(store, bucket)
    assert list(store.open_uploads(bucket, "")) == []
    assert store.find(bucket, "up") is None


def test_an_error_in_an_answer_of_200_is_seen(store, proxy, bucket, monkeypatch):
    with proxy.faults.armed(error_in_200(), matching=asking("CompleteMultipartUpload")):
        content, _ = put_large(store, bucket)
    assert b"".join(store.read(bucket, "up")) == content
    source = store.find(bucket, "up")
    with proxy.faults.armed(error_in_200(), matching=asking("CopyObject")):
        assert store.copy(bucket, source, bucket, "copy").size_bytes == len(content)
    with (
        proxy.faults.armed(error_in_200(), matching=asking("CompleteMultipartUpload"), times=None),
        pytest.raises(TargetUnreachableError),
    ):
        put_large(store, bucket, "never")
    assert store.find(bucket, "never") is None
    assert list(store.open_uploads(bucket, "")) == []


def test_a_copy_that_the_store_does_not_do_is_carried_over(store, proxy, bucket, s3_server):
    source = store.put(bucket, "from", os.urandom(1000))
    s3_server.client.copy_object(
        Bucket=bucket,
        Key="from",
        CopySource={"Bucket": bucket, "Key": "from"},
        MetadataDirective="REPLACE",
        ContentType="text/x",
        Metadata={"agent": "7"},
    )
    for number, lie in enumerate([Answer(501, "NotImplemented"), Answer(200, "")]):
        with proxy.faults.armed(lie, matching=asking("CopyObject"), times=None):
            copied = store.copy(bucket, source, bucket, f"to{number}")
        assert copied.etag == source.etag
        metadata = s3_server.client.head_object(Bucket=bucket, Key=f"to{number}")["Metadata"]
        assert "7" in (metadata.get("agent"), metadata.get("Agent"))  # this server capitalises names


def test_a_multipart_upload_that_somebody_aborts_is_no_lie_of_the_store(store, proxy, bucket, s3_server):
    def sweep():
        for upload in s3_server.client.list_multipart_uploads(Bucket=bucket)["Uploads"]:
            s3_server.client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])

    with (
        proxy.faults.armed(Call(sweep), matching=asking("CompleteMultipartUpload")),
        pytest.raises(BusyError, match="somebody else ended"),
    ):
        put_large(store, bucket)


def test_what_is_not_stored_as_it_was_sent_is_not_believed(store, proxy, bucket, s3_server):
    def shorten():
        s3_server.client.put_object(Bucket=bucket, Key="short", Body=b"12")

    for size in (3, 9 * MIB):
        with proxy.faults.armed(Call(shorten), matching=asking("HeadObject")), pytest.raises(GarbledAnswerError):
            put_large(store, bucket, "short", size)
    with proxy.faults.armed(Call(shorten), matching=asking("HeadObject")), pytest.raises(GarbledAnswerError):
        store.put(bucket, "short", b"123")


@pytest.mark.parametrize(("send", "size"), [("put_object", 10), ("upload_part", 9 * MIB)])
def test_bytes_that_change_on_their_way_are_seen(store, bucket, send, size):
    client = store._requests.client
    real = getattr(client, send)

    def damaged(**request):
        del request["ContentMD5"]  # a store that checks it answers BadDigest; this is one that does not
        return real(**{**request, "Body": b"!" + request["Body"][1:]})

    setattr(client, send, damaged)
    with pytest.raises(GarbledAnswerError, match="something else than was sent"):
        put_large(store, bucket, size=size)


def test_a_condition_is_not_met_by_our_own_lost_try(store, proxy, bucket, s3_server):
    refused = Answer(412, "PreconditionFailed")
    puts = asking("PutObject")
    # This server ignores conditions, so the proxy refuses what comes after a try whose answer was lost.
    with proxy.faults.armed(LoseAnswer(), matching=puts), proxy.faults.armed(refused, matching=puts):
        assert store.put(bucket, "ours", b"1", only_if_absent=True).size_bytes == 1

    def other():
        s3_server.client.put_object(Bucket=bucket, Key="theirs", Body=b"2")

    with proxy.faults.armed(Call(other), matching=asking("HeadObject"), when=When(nth=2)), pytest.raises(BusyError):
        store.put(bucket, "theirs", b"1", only_if_absent=True)
    with proxy.faults.armed(refused, matching=puts), pytest.raises(BusyError):
        store.put(bucket, "refused", b"1", only_if_absent=True)


def test_a_download_that_breaks_off_goes_on_where_it_broke(store, proxy, bucket):
    content, _ = put_large(store, bucket, size=5 * MIB)
    for fault in (EndResponse(after_bytes=2_000_000), EndResponse(after_bytes=2_000_000, politely=True)):
        before = len(proxy.exchanges)
        with proxy.faults.armed(fault, matching=asking("GetObject"), times=2):
            assert b"".join(store.read(bucket, "up")) == content
        gets = [each for each in proxy.exchanges[before:] if each.request.operation == "GetObject"]
        assert len(gets) >= 2
        assert any("range" in each.request.headers for each in gets)
    with (
        proxy.faults.armed(EndResponse(after_bytes=100), matching=asking("GetObject"), times=None),
        pytest.raises(TargetUnreachableError, match="broke off"),
    ):
        list(store.read(bucket, "up"))


def test_a_download_is_not_continued_with_another_object(store, proxy, bucket, s3_server):
    put_large(store, bucket, size=5 * MIB)

    def overwrite():
        s3_server.client.put_object(Bucket=bucket, Key="up", Body=os.urandom(5 * MIB))

    gets = asking("GetObject")
    with (
        proxy.faults.armed(EndResponse(after_bytes=2_000_000), matching=gets),
        proxy.faults.armed(Call(overwrite), matching=gets, when=When(nth=2)),
        pytest.raises(InputError, match="overwritten"),
    ):
        list(store.read(bucket, "up"))


def test_a_hang_ends_in_bounded_time(store, proxy, bucket, monkeypatch):
    monkeypatch.setattr(resumed_reads, "_RESUMPTIONS", 2)
    store._requests._patience = 0.5
    store.put(bucket, "k", b"x" * 300_000)
    started = time.monotonic()
    for fault in (Hang(), Hang(after_bytes=1000)):
        with (
            proxy.faults.armed(fault, matching=asking("GetObject"), times=None),
            pytest.raises((TargetTimeoutError, TargetUnreachableError)),
        ):
            list(store.read(bucket, "k"))
    with proxy.faults.armed(Hang(), times=None), pytest.raises(TransientError):
        store.put(bucket, "k", b"y")
    assert time.monotonic() - started < 15


def test_a_drip_ends_in_bounded_time_and_a_slow_reader_does_not(store, proxy, bucket, monkeypatch):
    monkeypatch.setattr(resumed_reads, "_DRIP_AFTER_SECONDS", 0.3)
    monkeypatch.setattr(resumed_reads, "_RESUMPTIONS", 1)
    store.put(bucket, "k", b"x" * 3 * MIB)
    with (
        proxy.faults.armed(Drip(5_000), matching=asking("GetObject"), times=None),
        pytest.raises(TargetTimeoutError, match="drips in"),
    ):
        list(store.read(bucket, "k"))
    for chunk in store.read(bucket, "k"):
        assert chunk
        time.sleep(0.4)
    monkeypatch.setattr(store._requests, "seconds", 0.2)
    with proxy.faults.armed(Drip(100), matching=asking("HeadObject"), times=None), pytest.raises(TargetTimeoutError):
        store.find(bucket, "k")


def test_credentials_that_ran_out_are_fetched_anew(store, proxy, bucket, monkeypatch):
    with proxy.faults.armed(expired_token()), pytest.raises(AccessDeniedError):
        store.put(bucket, "k", b"x")
    with (
        proxy.faults.armed(Answer(400, "ExpiredToken"), times=None),  # AWS's status for it, and a HEAD has no body
        pytest.raises(AccessDeniedError, match="ExpiredToken"),
    ):
        store.find(bucket, "k")
    monkeypatch.setattr(s3_requests, "_RENEW_AFTER_SECONDS", 0)
    first = store._requests.client
    for operation in ("PutObject", "HeadObject", "GetObject"):
        with proxy.faults.armed(expired_token(), matching=asking(operation)):
            assert store.put(bucket, "k", b"x").size_bytes == 1
            assert store.read_whole(bucket, "k", max_bytes=9) == b"x"
    assert store._requests.client is not first


def test_requests_are_counted_as_they_pass(store, proxy, bucket):
    before = len(proxy.exchanges)
    source = store.put(bucket, "k", b"x")
    put_large(store, bucket, size=9 * MIB)
    store.copy(bucket, source, bucket, "k2")
    list(store.read_many(bucket, list(store.list(bucket))))
    store.delete(bucket, ["k", "k2", "up"])
    assert sum(store.requests.values()) == len(proxy.exchanges) - before
    assert store.requests["PUT"] == 1 + 4
    assert store.requests["COPY"] == 1
