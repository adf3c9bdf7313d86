"""Every kind of fault, seen by plain clients: boto3 and psycopg."""

import socket
import threading
import time

import boto3
import psycopg
import pytest
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from sandbox.fault_proxy import (
    Call,
    Cut,
    Delay,
    Drip,
    EndResponse,
    FaultNeverFiredError,
    Hang,
    LoseAnswer,
    PostgresProxy,
    ResetRequest,
    S3Proxy,
    Silence,
    When,
    asking,
    error_in_200,
    expired_token,
    internal_error,
    named,
    no_such_bucket,
    slow_down,
)

_PART = bytes(5 * 1024 * 1024)


@pytest.fixture
def s3(s3_server):
    port = int(s3_server.endpoint_url.rpartition(":")[2])
    with S3Proxy(port) as proxy:
        yield proxy


@pytest.fixture
def client(s3, s3_server):
    return _client(s3.endpoint_url, s3_server)


@pytest.fixture
def postgres(cluster):
    with PostgresProxy(cluster.port) as proxy:
        yield proxy


@pytest.fixture
def conninfo(postgres, database):
    return {**database, "port": postgres.port, "connect_timeout": 2, "sslmode": "disable"}


def _client(endpoint_url, s3_server, *, attempts=1, read_timeout=1.0):
    return boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        aws_access_key_id=s3_server.access_key,
        aws_secret_access_key=s3_server.secret_key,
        region_name="us-east-1",
        config=Config(
            s3={"addressing_style": "path"},
            connect_timeout=2,
            read_timeout=read_timeout,
            retries={"total_max_attempts": attempts, "mode": "standard"},
            max_pool_connections=32,
        ),
    )


def _upload(client, bucket, key, parts=2):
    upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    tags = [
        client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=_PART)["ETag"]
        for number in range(1, parts + 1)
    ]
    listed = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]
    return client.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": listed})


def test_s3_without_a_fault_passes_everything_and_logs_it(s3, client, bucket):
    _upload(client, bucket, "large/ä b.bin")
    client.put_object(Bucket=bucket, Key="small", Body=b"content")
    client.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "small"})
    assert client.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"content"
    assert client.get_object(Bucket=bucket, Key="large/ä b.bin")["Body"].read() == _PART * 2
    client.head_object(Bucket=bucket, Key="small")
    assert [each["Key"] for each in client.list_objects_v2(Bucket=bucket)["Contents"]] == [
        "copy",
        "large/ä b.bin",
        "small",
    ]
    client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "small"}]})
    client.delete_object(Bucket=bucket, Key="copy")
    assert [each.request.operation for each in s3.exchanges] == [
        *("CreateMultipartUpload", "UploadPart", "UploadPart", "CompleteMultipartUpload"),
        *("PutObject", "CopyObject", "GetObject", "GetObject", "HeadObject", "ListObjectsV2"),
        *("DeleteObjects", "DeleteObject"),
    ]
    assert {each.status for each in s3.exchanges} <= {200, 204}
    part, large = s3.exchanges[1], s3.exchanges[7]
    assert (part.request.bucket, part.request.key) == (bucket, "large/ä b.bin")
    assert part.request_bytes >= len(_PART)  # chunk frames of a signed stream come on top
    assert large.response_bytes == 2 * len(_PART)


def test_the_server_checks_the_host_that_was_signed_so_the_proxy_must_not_change_it(s3, client, bucket):
    client.list_objects_v2(Bucket=bucket)
    client.meta.events.register(
        "before-send.s3.*", lambda request, **_: request.headers.__setitem__("Host", "127.0.0.1:1")
    )
    with pytest.raises(ClientError) as refusal:
        client.list_objects_v2(Bucket=bucket)
    assert refusal.value.response["Error"]["Code"] == "SignatureDoesNotMatch"


def test_s3_bodies_in_chunks_pass(s3, client, bucket):
    body = iter([b"a" * 70_000, b"b" * 100_000])
    with socket.create_connection((s3.host, s3.port)) as line:
        line.sendall(b"PUT /none/key HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for chunk in body:
            line.sendall(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        line.sendall(b"0\r\n\r\nHEAD /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: line.recv(65_536), b""))
    assert answer.count(b"HTTP/1.1 ") == 2
    assert [each.request.operation for each in s3.exchanges] == ["PutObject", "HeadBucket"]
    assert s3.exchanges[0].request_bytes > 170_000


def test_s3_500_at_the_nth_matching_request(s3, client, bucket):
    with (
        s3.faults.armed(internal_error(), matching=asking("UploadPart", bucket=bucket), when=When(nth=2)) as fault,
        pytest.raises(ClientError, match="internal error") as error,
    ):
        _upload(client, bucket, "large")
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert fault.fired == 1
    assert [each.status for each in s3.exchanges] == [200, 200, 500]


def test_s3_503_with_retry_after_so_many_times(s3, s3_server, bucket):
    client = _client(s3.endpoint_url, s3_server, attempts=3)
    with s3.faults.armed(slow_down(1), times=2) as fault:
        client.put_object(Bucket=bucket, Key="small", Body=b"content")
    assert fault.fired == 2
    with s3.faults.armed(slow_down(7)), pytest.raises(ClientError) as error:
        _client(s3.endpoint_url, s3_server).head_object(Bucket=bucket, Key="small")
    answer = error.value.response["ResponseMetadata"]
    assert (answer["HTTPStatusCode"], answer["HTTPHeaders"]["retry-after"]) == (503, "7")


def test_s3_reset_in_the_middle_of_a_part(s3, client, bucket):
    with (
        s3.faults.armed(ResetRequest(after_bytes=1_000_000), matching=asking("UploadPart"), when=When(nth=2)),
        pytest.raises((ConnectionClosedError, HTTPClientError)),
    ):
        _upload(client, bucket, "large")
    assert (s3.exchanges[-1].status, s3.exchanges[-1].request_bytes) == (0, 1_000_000)
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize("politely", [False, True])
def test_s3_end_in_the_middle_of_a_response(s3, client, bucket, politely):
    client.put_object(Bucket=bucket, Key="object", Body=_PART)
    with (
        s3.faults.armed(EndResponse(after_bytes=100_000, politely=politely), matching=asking("GetObject")),
        pytest.raises((ResponseStreamingError, IncompleteReadError, ConnectionResetError)),
    ):
        client.get_object(Bucket=bucket, Key="object")["Body"].read()
    assert client.get_object(Bucket=bucket, Key="object")["Body"].read() == _PART


@pytest.mark.parametrize("fault", [Hang(), Hang(after_bytes=10)])
def test_s3_hang(s3, client, bucket, fault):
    client.put_object(Bucket=bucket, Key="object", Body=_PART)
    start = time.monotonic()
    with (
        s3.faults.armed(fault, matching=asking("GetObject")),
        pytest.raises((ReadTimeoutError, ResponseStreamingError)),
    ):
        client.get_object(Bucket=bucket, Key="object")["Body"].read()
    assert time.monotonic() - start > 0.9


def test_s3_hang_leaves_other_requests_alone(s3, client, bucket):
    with s3.faults.armed(Hang(), matching=asking("PutObject", key=r"^hung$")) as fault:
        hung = threading.Thread(target=_ignoring, args=(client.put_object, bucket, "hung"))
        hung.start()
        s3.faults.wait_fired(fault, 5)
        client.put_object(Bucket=bucket, Key="other", Body=b"content")
        hung.join()


def test_s3_slow_drip(s3, client, bucket):
    client.put_object(Bucket=bucket, Key="object", Body=b"x" * 40)
    start = time.monotonic()
    # No silence is longer than the client's second, and yet it takes its time.
    with s3.faults.armed(Drip(bytes_per_second=800), matching=asking("GetObject")):
        assert client.get_object(Bucket=bucket, Key="object")["Body"].read() == b"x" * 40
    assert time.monotonic() - start > 0.5
    start = time.monotonic()
    with s3.faults.armed(Drip(bytes_per_second=100_000, direction="request"), matching=asking("PutObject")):
        client.put_object(Bucket=bucket, Key="object", Body=b"x" * 80_000)
    assert time.monotonic() - start > 0.7


def test_s3_200_with_an_error_in_its_body(s3, client, bucket):
    client.put_object(Bucket=bucket, Key="source", Body=b"content")
    copy = {"Bucket": bucket, "Key": "copy", "CopySource": {"Bucket": bucket, "Key": "source"}}
    with s3.faults.armed(error_in_200(), matching=asking("CopyObject")), pytest.raises(ClientError):
        client.copy_object(**copy)
    with s3.faults.armed(error_in_200(), matching=asking("CompleteMultipartUpload")), pytest.raises(ClientError):
        _upload(client, bucket, "large")
    assert [each["Key"] for each in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["source"]
    assert s3.exchanges[1].status == 200


def test_s3_lost_answer_after_success(s3, client, bucket):
    with s3.faults.armed(LoseAnswer(), matching=asking("PutObject")), pytest.raises(ConnectionClosedError):
        client.put_object(Bucket=bucket, Key="object", Body=b"content")
    assert s3.exchanges[-1].status == 200
    with (
        s3.faults.armed(LoseAnswer(), matching=asking("CompleteMultipartUpload")),
        pytest.raises(ConnectionClosedError),
    ):
        _upload(client, bucket, "large")
    assert client.get_object(Bucket=bucket, Key="object")["Body"].read() == b"content"
    assert client.head_object(Bucket=bucket, Key="large")["ContentLength"] == 2 * len(_PART)


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [(expired_token(), 403, "ExpiredToken"), (no_such_bucket(), 404, "NoSuchBucket")],
)
def test_s3_from_a_moment_on(s3, client, bucket, answer, status, code):
    with s3.faults.armed(answer, when=When(nth=3), times=None) as fault:
        client.put_object(Bucket=bucket, Key="object", Body=b"content")
        client.head_object(Bucket=bucket, Key="object")
        for _ in range(3):
            with pytest.raises(ClientError) as error:
                client.put_object(Bucket=bucket, Key="object", Body=b"other")
            assert error.value.response["Error"]["Code"] == code
        with pytest.raises(ClientError, match=str(status)):  # the answer to a HEAD has no body
            client.head_object(Bucket=bucket, Key="object")
    assert fault.fired == 4
    assert client.get_object(Bucket=bucket, Key="object")["Body"].read() == b"content"


def test_s3_after_bytes_and_after_seconds(s3, client, bucket):
    with s3.faults.armed(internal_error(), when=When(after_bytes=1_000)) as fault:
        client.put_object(Bucket=bucket, Key="object", Body=b"x" * 2_000)
        assert fault.fired == 0
        with pytest.raises(ClientError):
            client.put_object(Bucket=bucket, Key="object", Body=b"")
    with s3.faults.armed(internal_error(), when=When(after_seconds=0.3)) as fault:
        client.head_object(Bucket=bucket, Key="object")
        time.sleep(0.3)
        with pytest.raises(ClientError):
            client.head_object(Bucket=bucket, Key="object")


def test_s3_calls_at_a_moment(s3, client, bucket):
    seen = []
    with s3.faults.armed(Call(lambda: seen.append(len(s3.exchanges))), when=When(nth=2)):
        for number in range(3):
            client.put_object(Bucket=bucket, Key=str(number), Body=b"")
    assert seen == [2]  # its own request stands in the log already


def test_a_fault_that_never_fired_fails_its_test(s3, client, bucket):
    with pytest.raises(FaultNeverFiredError, match="Never fired"), s3.faults.armed(Hang(), when=When(nth=2)):
        client.put_object(Bucket=bucket, Key="object", Body=b"")
    fault = s3.faults.arm(Hang(), matching=asking("DeleteObject"))
    with pytest.raises(FaultNeverFiredError, match="within"):
        s3.faults.wait_fired(fault, 0.05)
    s3.faults.disarm(fault)
    client.delete_object(Bucket=bucket, Key="object")
    assert not s3.faults.fire(s3.exchanges[-1].request)


def test_s3_refused_connections_and_a_cut(s3, client, bucket):
    client.put_object(Bucket=bucket, Key="object", Body=b"")
    s3.refuse()
    s3.cut_all()
    with pytest.raises(EndpointConnectionError):
        client.head_object(Bucket=bucket, Key="object")
    s3.accept()
    client.head_object(Bucket=bucket, Key="object")


def test_s3_many_connections_at_once(s3, client, bucket):
    threads = [
        threading.Thread(target=client.put_object, kwargs={"Bucket": bucket, "Key": f"{n}", "Body": b"x" * 3_000})
        for n in range(100)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 100


def test_postgres_without_a_fault_passes_and_says_who_spoke(postgres, conninfo):
    with psycopg.connect(**conninfo, application_name="somebody") as connection:
        rows = connection.execute("SELECT repeat('x', 1000) FROM generate_series(1, 2000)").fetchall()
        connection.execute("CREATE TABLE t (a text)")
        with connection.cursor().copy("COPY t FROM STDIN") as copy:
            for _ in range(2_000):
                copy.write_row(["y" * 1_000])
    assert len(rows) == 2_000
    [conversation] = postgres.conversations
    assert conversation.application == "somebody"
    assert conversation.database == conninfo["dbname"]
    assert conversation.user == "postgres"
    assert conversation.to_client_bytes > 2_000_000
    assert conversation.to_server_bytes > 2_000_000


def test_postgres_asked_for_tls_first_passes_too(postgres, conninfo):
    with psycopg.connect(**{**conninfo, "sslmode": "prefer"}, application_name="careful") as connection:
        connection.execute("SELECT 1")
    assert postgres.conversations[-1].application == "careful"


def test_postgres_cut_after_so_many_bytes_of_one_application(postgres, conninfo):
    large = "SELECT repeat('x', 1000) FROM generate_series(1, 2000)"
    with (
        postgres.faults.armed(Cut(), matching=named("victim"), when=When(after_bytes=1_000_000)),
        psycopg.connect(**conninfo, application_name="bystander") as bystander,
        psycopg.connect(**conninfo, application_name="victim") as victim,
    ):
        bystander.execute(large)
        with pytest.raises(psycopg.OperationalError):
            victim.execute(large)
        bystander.execute(large)
    cut = next(each for each in postgres.conversations if each.application == "victim")
    assert cut.to_client_bytes + cut.to_server_bytes <= 1_000_000 + 1_000  # the start-up message came before
    assert cut.to_client_bytes > 900_000


def test_postgres_cut_of_everybody(postgres, conninfo):
    connections = [psycopg.connect(**conninfo) for _ in range(3)]
    postgres.cut_all()
    for connection in connections:
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        connection.close()
    with (
        psycopg.connect(**conninfo) as first,
        psycopg.connect(**conninfo) as second,
        postgres.faults.armed(Cut(everything=True)),
    ):
        for connection in (first, second):
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")


def test_postgres_refuses_new_connections_and_keeps_the_old(postgres, conninfo):
    with psycopg.connect(**conninfo) as old:
        postgres.refuse()
        with pytest.raises(psycopg.OperationalError, match="refused"):
            psycopg.connect(**conninfo)
        old.execute("SELECT 1")
        postgres.accept()
        psycopg.connect(**conninfo).close()


def test_postgres_silence(postgres, conninfo, cluster):
    with psycopg.connect(**conninfo, application_name="silenced") as connection:
        with postgres.faults.armed(Silence(), matching=named("silenced")) as fault:
            asking = threading.Thread(target=_ignoring, args=(connection.execute, "SELECT 1"))
            asking.start()
            postgres.faults.wait_fired(fault, 5)
            asking.join(0.5)
            assert asking.is_alive()
        asking.join(0.3)
        assert asking.is_alive()  # a broken line does not mend itself
        postgres.cut_all()
        asking.join(5)
        assert not asking.is_alive()
    _wait(lambda: not _sessions(cluster, "silenced"))


def test_postgres_silence_from_the_start(postgres, conninfo):
    with postgres.faults.armed(Silence()), pytest.raises(psycopg.errors.ConnectionTimeout):
        psycopg.connect(**conninfo)
    postgres.cut_all()  # DROP DATABASE waits for whoever is stuck in its login


def test_postgres_delay(postgres, conninfo):
    with psycopg.connect(**conninfo, autocommit=True) as connection:
        start = time.monotonic()
        with postgres.faults.armed(Delay(0.2), times=None):
            connection.execute("SELECT 1")
        assert time.monotonic() - start >= 0.4  # the question and the answer


def test_postgres_calls_at_a_moment(postgres, conninfo, database):
    def drop():
        with psycopg.connect(**database, autocommit=True) as connection:
            connection.execute("DROP TABLE doomed")

    with psycopg.connect(**conninfo, autocommit=True) as connection:
        connection.execute("CREATE TABLE doomed (a int)")
        with postgres.faults.armed(Call(drop)), pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM doomed")


def test_a_closed_proxy_leaves_no_thread_and_no_session(cluster, database):
    others = set(threading.enumerate())
    with PostgresProxy(cluster.port) as proxy:
        connection = psycopg.connect(**{**database, "port": proxy.port}, application_name="left behind")
        proxy.faults.arm(Silence())
        asking = threading.Thread(target=_ignoring, args=(connection.execute, "SELECT 1"))
        asking.start()
        _wait(lambda: proxy.conversations[0].silenced)
    asking.join(5)
    connection.close()
    assert not [each for each in threading.enumerate() if each.name.startswith("fault-proxy") and each not in others]
    _wait(lambda: not _sessions(cluster, "left behind"))
    proxy.close()


def _ignoring(function, *args):
    try:
        if len(args) == 2:
            function(Bucket=args[0], Key=args[1], Body=b"content")
        else:
            function(*args)
    except (psycopg.Error, HTTPClientError):
        pass


def _sessions(cluster, application):
    with cluster.connect() as connection:
        return connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = %s", (application,)
        ).fetchall()


def _wait(condition):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
