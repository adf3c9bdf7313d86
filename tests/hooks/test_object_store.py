"""S3: against a real server over HTTP, moto for what only AWS answers, and ends that misbehave."""

import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.loaders import JSONFileLoader
from moto.server import ThreadedMotoServer

from tdev_operators.core.errors import (
    AccessDeniedError,
    GarbledAnswerError,
    InputError,
    SetupMissingError,
    TargetTimeoutError,
    TargetUnreachableError,
    TdevError,
    ThrottledError,
)
from tdev_operators.core.ports import BucketExposure
from tdev_operators.hooks.aws import _models
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.object_store import S3Store

Said = Callable[[BaseException], str]
SECRET = "S3cretKey/of+ours"


def _facts(endpoint_url: str, login: str = "AKIAEXAMPLE", password: str = SECRET, **extra: Any) -> ConnectionFacts:
    return ConnectionFacts(
        "tdev_aws", "aws", login=login, password=password, extra={"endpoint_url": endpoint_url, **extra}
    )


@pytest.fixture
def store(s3_server: Any) -> S3Store:
    return S3Store(_facts(s3_server.endpoint_url, s3_server.access_key, s3_server.secret_key))


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    """The address of an S3 with bucket policies and ACLs, which the store on disk has not."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_what_was_written_is_listed_and_read_back(store: S3Store, bucket: str) -> None:
    store.write(bucket, "agents/eins.py", b"print(1)\n", content_type="text/x-python")
    store.write(bucket, "agents/zwei & drei ü.py", b"")
    store.write(bucket, "other/file", b"x")
    listed = list(store.list(bucket, "agents/"))
    assert [(found.key, found.size_bytes) for found in listed] == [
        ("agents/eins.py", 9),
        ("agents/zwei & drei ü.py", 0),
    ]
    assert all('"' not in found.etag for found in listed)
    assert all(abs(datetime.now(UTC) - found.modified) < timedelta(minutes=5) for found in listed)
    assert store.read(bucket, "agents/eins.py", max_bytes=9) == b"print(1)\n"
    store.delete(bucket, "agents/eins.py")
    store.delete(bucket, "agents/eins.py")
    assert [found.key for found in store.list(bucket, "agents/")] == ["agents/zwei & drei ü.py"]


def test_a_listing_of_many_pages_is_whole_and_in_order(store: S3Store, bucket: str, supervisor: Any) -> None:
    keys = [f"key-{number:05d}" for number in range(1_050)]
    for key in keys:  # the server's bucket is a folder; a thousand uploads would take long
        (supervisor.home / "test-object-store" / bucket / key).touch()
    assert [found.key for found in store.list(bucket)] == keys


def test_an_object_above_the_limit_is_refused_unread(store: S3Store, bucket: str) -> None:
    store.write(bucket, "big", b"x" * 1001)
    with pytest.raises(
        InputError, match=rf"^The object big in the bucket {bucket} at .* has 1001 bytes, more than the 1000"
    ):
        store.read(bucket, "big", max_bytes=1000)


@pytest.mark.parametrize("call", ["list", "read"])
def test_what_does_not_exist_is_an_input_error(store: S3Store, bucket: str, call: str) -> None:
    with pytest.raises(InputError, match=r"NoSuch(Bucket|Key)") as caught:
        list(store.list("no-such-bucket")) if call == "list" else store.read(bucket, "absent", max_bytes=1)
    assert ("no-such-bucket" if call == "list" else "absent") in str(caught.value)


def test_a_name_that_cannot_be_a_bucket_is_an_input_error(store: S3Store) -> None:
    with pytest.raises(InputError, match="cannot be asked that way"):
        list(store.list("No Bucket!"))


def test_wrong_keys_are_refused_and_never_shown(s3_server: Any, bucket: str, everything_said: Said) -> None:
    store = S3Store(_facts(s3_server.endpoint_url, s3_server.access_key))
    with pytest.raises(AccessDeniedError, match=r"refused our credentials .* mend the connection tdev_aws") as caught:
        list(store.list(bucket))
    said = everything_said(caught.value) + repr(store)
    assert SECRET not in said
    assert s3_server.secret_key not in said


def test_what_botocore_knows_of_a_service_is_read_once_for_all_clients(
    s3_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    S3Store(_facts(s3_server.endpoint_url)).server_time()
    read: list[str] = []
    monkeypatch.setattr(JSONFileLoader, "load_file", lambda _, path: read.append(path))
    assert S3Store(_facts(s3_server.endpoint_url, "AKIANOBODY")).server_time()
    assert read == []


def test_a_profile_of_the_machine_that_is_not_there_is_no_matter_of_a_connection_with_keys(
    s3_server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("[profile ours]\nregion = eu-north-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "nowhere")
    _models.cache_clear()
    own = _facts(s3_server.endpoint_url, s3_server.access_key, s3_server.secret_key, profile_name="ours")
    assert S3Store(own).server_time()


def test_the_stores_clock_comes_from_its_date_header(store: S3Store, s3_server: Any) -> None:
    denied = S3Store(_facts(s3_server.endpoint_url, "AKIANOBODY"))
    for asked in (store, denied):
        before = datetime.now(UTC) - timedelta(seconds=1)  # it tells whole seconds
        assert before <= asked.server_time() <= datetime.now(UTC)


def test_a_store_without_policies_says_so_and_refuses_strangers(store: S3Store, bucket: str) -> None:
    store.write(bucket, "one", b"1")
    exposure = store.exposure(bucket)
    assert (exposure.anonymous_list_status, exposure.anonymous_read_status) == (400, 400)  # its way to refuse
    assert (exposure.policy_is_public, exposure.public_access_blocked) == (None, None)


def test_exposure_on_aws_shows_policy_acl_and_block(aws: str) -> None:
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
    owner: Any = boto3.client("s3", endpoint_url=aws, **keys)
    store = S3Store(_facts(aws))
    owner.create_bucket(Bucket="shut")
    owner.put_public_access_block(
        Bucket="shut",
        PublicAccessBlockConfiguration=dict.fromkeys(
            ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
        ),
    )
    shut = store.exposure("shut")
    assert (shut.acl_grants_public, shut.public_access_blocked, shut.anonymous_read_status) == (False, True, None)
    owner.create_bucket(Bucket="open", ACL="public-read")
    owner.put_object(Bucket="open", Key="one", Body=b"1", ACL="public-read")
    opened = store.exposure("open")
    assert opened == BucketExposure(
        anonymous_list_status=200,
        anonymous_read_status=200,
        policy_is_public=opened.policy_is_public,
        acl_grants_public=True,
        public_access_blocked=False,
    )


def _answering(head: str, body: bytes = b"") -> Callable[[socket.socket], None]:
    def answer(line: socket.socket) -> None:
        while line.recv(65_536):
            line.sendall(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    return answer


_BLOCKED = (
    b"<PublicAccessBlockConfiguration>"
    + b"".join(
        b"<%s>true</%s>" % (switch, switch)
        for switch in (b"BlockPublicAcls", b"IgnorePublicAcls", b"BlockPublicPolicy", b"RestrictPublicBuckets")
    )
    + b"</PublicAccessBlockConfiguration>"
)


@pytest.mark.parametrize(
    ("head", "code", "told", "missing"),
    [
        ("403 Forbidden", b"AccessDenied", None, ("s3:GetBucketPolicyStatus",)),
        ("501 Not Implemented", b"NotImplemented", None, ()),
        ("405 Method Not Allowed", b"MethodNotAllowed", None, ()),
        ("404 Not Found", b"NoSuchBucketPolicy", False, ()),
    ],
)
def test_a_right_that_we_lack_is_not_a_store_that_cannot_tell(
    listen: Any, head: str, code: bytes, told: object, missing: tuple[str, ...]
) -> None:
    answers = {
        b"policyStatus": (head, b"<Error><Code>%s</Code></Error>" % code),
        b"publicAccessBlock": ("200 OK", _BLOCKED),
        b"acl": ("200 OK", b"<AccessControlPolicy><AccessControlList/></AccessControlPolicy>"),
        b"list-type": ("200 OK", b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"),
    }

    def answer(line: socket.socket) -> None:
        while request := line.recv(65_536):
            where = request.partition(b"\r\n")[0]
            status, body = next(answer for words, answer in answers.items() if words in where)
            line.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    exposure = S3Store(_facts(f"http://127.0.0.1:{listen(answer).port}")).exposure("some-bucket")
    assert (exposure.policy_is_public, exposure.rights_missing) == (told, missing)
    assert (exposure.acl_grants_public, exposure.public_access_blocked) == (False, True)


def test_a_password_in_the_endpoint_is_refused_and_never_shown(everything_said: Said) -> None:
    store = S3Store(_facts("http://me:hidden-word@127.0.0.1:1"))
    with pytest.raises(SetupMissingError, match="user or password in its endpoint_url") as caught:
        list(store.list("some-bucket"))
    assert "hidden-word" not in everything_said(caught.value) + repr(store)


_LISTING = b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"


@pytest.mark.parametrize(
    ("head", "body", "error"),
    [
        ("503 Slow Down", b"<Error><Code>SlowDown</Code></Error>", ThrottledError),
        ("500 Oops", b"", TargetUnreachableError),
        ("200 OK", b"<html>Welcome!</html>", GarbledAnswerError),
        ("200 OK", b"<<<", TargetUnreachableError),  # botocore takes what is no XML for a broken answer
        ("200 OK", b"{}", TargetUnreachableError),
        ("200 OK", _LISTING, GarbledAnswerError),
    ],
)
def test_answers_that_are_none(listen: Any, head: str, body: bytes, error: type[TdevError]) -> None:
    server = listen(_answering(head, body))
    with pytest.raises(error, match=f"^The bucket some-bucket at http://127.0.0.1:{server.port} ") as caught:
        list(S3Store(_facts(f"http://127.0.0.1:{server.port}")).list("some-bucket"))
    assert "\n" not in str(caught.value)


def test_an_answer_without_a_date_is_garbled(listen: Any) -> None:
    server = listen(_answering("200 OK", b"<ListAllMyBucketsResult/>"))
    with pytest.raises(GarbledAnswerError, match="bears no date"):
        S3Store(_facts(f"http://127.0.0.1:{server.port}")).server_time()


def test_a_store_that_is_down_is_unreachable(free_port: int) -> None:
    started = time.monotonic()
    with pytest.raises(TargetUnreachableError, match=rf"at http://127\.0\.0\.1:{free_port} cannot be reached"):
        list(S3Store(_facts(f"http://127.0.0.1:{free_port}")).list("some-bucket"))
    assert time.monotonic() - started < 10


def test_a_silent_store_costs_its_time_limit_once(silent: Any) -> None:
    store = S3Store(_facts(f"http://127.0.0.1:{silent.port}"), timeout_seconds=2)
    started = time.monotonic()
    for _ in range(5):
        with pytest.raises(TargetTimeoutError, match="was not served within 2 s"):
            list(store.list("some-bucket"))
    assert time.monotonic() - started < 6


def test_a_body_that_drips_in_costs_its_time_limit(listen: Any) -> None:
    def drip(line: socket.socket) -> None:
        line.recv(65_536)
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            line.sendall(b"x")
            time.sleep(0.1)

    store = S3Store(_facts(f"http://127.0.0.1:{listen(drip).port}"), timeout_seconds=1.5)
    started = time.monotonic()
    with pytest.raises(TargetTimeoutError):
        store.read("some-bucket", "key", max_bytes=1000)
    assert time.monotonic() - started < 6


def test_a_body_that_breaks_off_is_unreachable(listen: Any) -> None:
    def cut(line: socket.socket) -> None:
        line.recv(65_536)
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this")
        line.shutdown(socket.SHUT_RDWR)

    with pytest.raises(TargetUnreachableError):
        S3Store(_facts(f"http://127.0.0.1:{listen(cut).port}")).read("some-bucket", "key", max_bytes=1000)


def test_the_endpoint_of_the_service_goes_before_the_general_one(s3_server: Any, bucket: str, free_port: int) -> None:
    extra = {"service_config": {"s3": {"endpoint_url": s3_server.endpoint_url}}}
    facts = _facts(f"http://127.0.0.1:{free_port}", s3_server.access_key, s3_server.secret_key, **extra)
    assert list(S3Store(facts).list(bucket)) == []


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (_facts("127.0.0.1"), "endpoint_url that is no URL"),
        (_facts("http://127.0.0.1:1", assume_role_method="assume_role_with_saml"), "extra assume_role_method"),
        (_facts("http://127.0.0.1:1", profile_name="no-such-profile"), "needs credentials and a region"),
    ],
)
def test_a_connection_that_cannot_work_says_why(facts: ConnectionFacts, said: str) -> None:
    with pytest.raises(SetupMissingError, match=said):
        list(S3Store(facts).list("some-bucket"))


def test_without_credentials_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, free_port: int
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(SetupMissingError, match="give the connection tdev_aws login, password"):
        list(S3Store(_facts(f"http://127.0.0.1:{free_port}", "", "")).list("some-bucket"))


def test_a_role_is_assumed(aws: str) -> None:
    store = S3Store(_facts(aws, role_arn="arn:aws:iam::123456789012:role/maintenance"))
    with pytest.raises(InputError, match="NoSuchBucket"):
        list(store.list("not-there"))
    assert store._client()._request_signer._credentials.token
