"""Logs in a real S3 server, and in CloudWatch Logs as moto has it."""

import gzip
from datetime import timedelta

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tdev_operators.core.errors import TargetUnreachableError
from tdev_operators.core.logs.ports import LogPorts
from tdev_operators.core.logs.run import analyse_logs
from tdev_operators.core.logs.settings import LogSource
from tdev_operators.core.ports import utc_now
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.connections import ConnectionFacts, EnvironmentConnections
from tdev_operators.hooks.log_events import CloudWatchEvents
from tdev_operators.hooks.log_objects import StoredLogs
from tests.core.logs.conftest import World, line

GROUP = "/t-developer/api"


@pytest.fixture
def recent(tmp_path):
    """A world whose now is now: a store dates its objects itself."""
    folder = tmp_path / "logs"
    folder.mkdir()
    world = World(folder, now=utc_now())
    world.write("api.log", "".join(line(world.ago(minutes=number)) for number in range(30, 0, -1)))
    return world


@pytest.fixture
def store(recent, s3_server, bucket):
    facts = ConnectionFacts(
        "tdev_aws",
        "aws",
        login=s3_server.access_key,
        password=s3_server.secret_key,
        extra={"endpoint_url": s3_server.endpoint_url},
    )
    recent.objects = StoredLogs(facts)
    recent.sources = (LogSource(kind="s3", bucket=bucket, prefix="api/"),)

    def put(key, body):
        s3_server.client.put_object(Bucket=bucket, Key=key, Body=body)
        recent.now = utc_now()

    return put


def errors(world, count):
    return "".join(
        line(world.ago(minutes=5), "ERROR", "engine", f"broken {number}") for number in range(count)
    ).encode()


def test_objects_plain_and_packed_are_counted_once_whatever_their_names(recent, store):
    store("api/one.log", errors(recent, 3))
    store("api/two", gzip.compress(errors(recent, 40)))
    store("other/three.log", errors(recent, 500))
    results = recent.analyse()
    assert recent.count("errors", results) == 43
    assert results["reading"].verdict is Verdict.OK, results["reading"]
    assert results["reading"].coverage.canary_found is True
    store("api/four.log", errors(recent, 2))
    assert recent.count("errors") == 45
    recent.now = utc_now()
    assert recent.count("errors") == 45
    store("api/one.log", errors(recent, 5))  # overwritten: what was counted of it is replaced
    assert recent.count("errors") == 47


def test_a_growing_log_that_is_copied_again_and_again_counts_once(recent, store):
    text = b""
    for number in range(1, 5):
        text += errors(recent, number)
        store("api/growing.log", text)
        assert recent.count("errors") == number * (number + 1) // 2
    [sample] = list(recent.ledger.kept["logs"].values())[-1:]
    [state] = [state for title, state in sample.facts["sources"].items() if title.startswith("s3:")]
    # As it was kept before: ETags alone. It is read anew, once.
    state["tokens"] = {key: etag for key, (etag, _) in state["tokens"].items()}
    recent.now = utc_now()
    assert recent.count("errors") == 10
    recent.now = utc_now()
    assert recent.count("errors") == 10


def test_an_object_that_was_deleted_or_cannot_be_read_anew_still_counts(recent, store, s3_server, bucket):
    store("api/one.log", errors(recent, 3))
    store("api/two.log", errors(recent, 4))
    assert recent.count("errors") == 7
    s3_server.client.delete_object(Bucket=bucket, Key="api/one.log")
    store("api/two.log", errors(recent, 9))
    real = recent.objects

    class Away:
        def list(self, *place):
            return real.list(*place)

        def stream(self, *place):
            raise TargetUnreachableError("The store does not answer; see it.")

    recent.objects = Away()
    results = recent.analyse()
    assert recent.count("errors", results) == 7
    assert results["reading"].verdict is Verdict.UNKNOWN
    recent.objects = real
    recent.now = utc_now()
    assert recent.count("errors") == 12


def test_a_damaged_object_and_a_bucket_that_is_not_there_are_unknown(recent, store):
    store("api/cut.gz", gzip.compress(errors(recent, 4000))[:-100])
    results = recent.analyse()
    assert results["reading"].verdict is Verdict.UNKNOWN
    assert "cut.gz was not looked at (it ends too early" in results["reading"].summary
    recent.sources = (LogSource(kind="s3", bucket="no-such-bucket-here"),)
    recent.now = utc_now()
    reading = recent.analyse()["reading"]
    assert reading.verdict is Verdict.UNKNOWN
    assert "no-such-bucket-here" in reading.summary


def test_a_prefix_without_new_objects_is_unknown(recent, store):
    assert "no object there was written" in recent.analyse()["reading"].summary


@pytest.fixture
def cloud(recent):
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
    client = boto3.client("logs", endpoint_url=f"http://{host}:{port}", **keys)
    client.create_log_group(logGroupName=GROUP)
    client.create_log_stream(logGroupName=GROUP, logStreamName="one")
    extra = {"endpoint_url": f"http://{host}:{port}", "region_name": "us-east-1"}
    recent.events = CloudWatchEvents(ConnectionFacts("tdev_aws", "aws", login="a", password="b", extra=extra))
    recent.sources = (LogSource(kind="cloudwatch", group=GROUP),)

    def put(messages, ago=timedelta(minutes=5)):
        stamp = int((recent.now - ago).timestamp() * 1000)
        events = [{"timestamp": stamp + number, "message": message} for number, message in enumerate(messages)]
        client.put_log_events(logGroupName=GROUP, logStreamName="one", logEvents=events)

    yield put
    client.delete_log_group(logGroupName=GROUP)
    server.stop()


def test_events_are_counted_once_also_those_that_came_late(recent, cloud):
    cloud([f"ERROR engine broken {number}" for number in range(30)], ago=timedelta(hours=3))
    cloud([line(recent.ago(minutes=9), "ERROR", "api", "own stamp").rstrip(), "Traceback\n  ERROR of the same event"])
    results = recent.analyse()
    assert results["reading"].verdict is Verdict.OK, results["reading"]
    assert recent.count("errors", results) == 32
    recent.now += timedelta(minutes=1)
    assert recent.count("errors") == 32
    cloud(["ERROR late"], ago=timedelta(minutes=30))
    recent.now += timedelta(minutes=1)
    assert recent.count("errors") == 33


def test_many_pages_are_read_to_their_end(recent, cloud):
    for _ in range(3):
        cloud([f"ERROR engine broken {number}" for number in range(9000)])
    assert recent.count("errors") == 27_000


def test_a_group_that_is_not_there_is_unknown(recent, cloud):
    recent.sources = (LogSource(kind="cloudwatch", group="/no/such"),)
    reading = recent.analyse()["reading"]
    assert reading.verdict is Verdict.UNKNOWN
    assert "/no/such of CloudWatch Logs is not there" in reading.summary


def test_without_the_connection_the_sources_say_so_and_the_hosts_are_read(recent):
    from tdev_operators.hooks.logs_assembly import log_ports

    recent.sources = (LogSource(kind="s3", bucket="some-bucket"), LogSource(kind="cloudwatch", group=GROUP))
    ports = log_ports(recent.settings, EnvironmentConnections({}))
    assert isinstance(ports, LogPorts)
    results = {
        result.check: result for result in analyse_logs(ports, recent.settings, recent.ledger, progress=lambda _: None)
    }
    reading = results["logs.reading"]
    assert reading.verdict is Verdict.UNKNOWN
    assert len(reading.coverage.skipped) == 2
    assert all("tdev_aws" in why.lower() for why in reading.coverage.skipped.values())
    assert len(reading.coverage.seen) == 1
