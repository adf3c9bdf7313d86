"""Who holds the names: Route 53 on moto, and the sandbox's web hook in front of a real name server."""

from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from sandbox.aws import ControlPlanes
from sandbox.names import NameServer
from tdev_operators.core.errors import (
    AccessDeniedError,
    GarbledAnswerError,
    InputError,
    SetupMissingError,
    TargetUnreachableError,
)
from tdev_operators.core.failover.settings import DnsSettings
from tdev_operators.hooks.aws import make_client
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.name_records import Route53, Webhook, name_records

NAME = "api.t-developer.com"


@pytest.fixture(scope="module")
def planes(supervisor):
    planes = ControlPlanes(supervisor, subscriber="http://127.0.0.1:9/", name="names-moto").start()
    yield planes
    planes.stop()


@pytest.fixture
def aws(planes):
    extra = {"region_name": "eu-central-1", "service_config": {"route53": {"endpoint_url": planes.endpoint_url}}}
    return ConnectionFacts(conn_id="tdev_aws", login="test", password="test", extra=extra)


@pytest.fixture
def zone(aws):
    client = make_client(aws, "route53", timeout_seconds=10)
    made = client.create_hosted_zone(Name="t-developer.com", CallerReference=f"{id(client)}")
    return made["HostedZone"]["Id"].rpartition("/")[2]


def settings(**facts):
    return DnsSettings.model_validate({"kind": "route53", "names": (NAME,), "ttl_seconds": 60, **facts})


class TestRoute53:
    def test_a_name_points_where_it_was_told_to_once_or_twice(self, aws, zone):
        records = name_records(settings(zone_id=zone), _Known(aws))
        assert records.address_of(NAME) == ""
        for address in ("203.0.113.10", "203.0.113.20", "203.0.113.20"):
            records.point(NAME, address, 60)
            assert records.address_of(NAME) == address
            assert records.address_of(NAME.upper() + ".") == address
        assert records.address_of("apj.t-developer.com") == "", "the next one in the zone is another"

    def test_a_record_that_is_not_plain_is_left_alone(self, aws, zone):
        client = make_client(aws, "route53", timeout_seconds=10)
        record = {
            "Name": NAME,
            "Type": "A",
            "SetIdentifier": "one",
            "Weight": 10,
            "TTL": 60,
            "ResourceRecords": [{"Value": "203.0.113.1"}],
        }
        changes = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
        client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=changes)
        with pytest.raises(InputError, match="one of several weighted records"):
            Route53(settings(zone_id=zone), aws).address_of(NAME)

    def test_a_zone_that_is_not_there_is_said(self, aws):
        with pytest.raises(InputError, match="hosted zone ZNOWHERE"):
            Route53(settings(zone_id="ZNOWHERE"), aws).address_of(NAME)


class _Known:
    def __init__(self, *facts):
        self._facts = {one.conn_id: one for one in facts}

    def get(self, conn_id):
        if conn_id not in self._facts:
            raise SetupMissingError(f"The connection {conn_id} is missing.")
        return self._facts[conn_id]


@pytest.fixture(scope="module")
def names(supervisor):
    server = NameServer(supervisor, (NAME,), name="hooked-names").start()
    yield server
    server.stop()


class TestWebhook:
    def facts(self, port, password, host="127.0.0.1"):
        return ConnectionFacts(conn_id="tdev_names", host=host, port=port, schema="http", password=password)

    def test_a_name_points_where_it_was_told_to(self, names):
        hook = name_records(
            settings(kind="webhook", connection="tdev_names"), _Known(self.facts(names.hook_port, names.token))
        )
        assert hook.address_of(NAME) == "127.0.0.1"
        for _ in range(2):
            hook.point(NAME, "127.0.0.2", 60)
            assert hook.address_of(NAME) == "127.0.0.2"
        assert hook.address_of("other.t-developer.com") == ""

    def test_a_wrong_token_is_said_and_not_shown(self, names):
        with pytest.raises(AccessDeniedError, match="refuses our token") as refused:
            Webhook(self.facts(names.hook_port, "not-the-token")).point(NAME, "127.0.0.9", 60)
        assert "not-the-token" not in str(refused.value)

    def test_nobody_there_is_unreachable(self):
        with pytest.raises(TargetUnreachableError, match="cannot be reached"):
            Webhook(self.facts(9, "x")).address_of(NAME)

    @pytest.mark.parametrize(
        ("status", "body", "error"),
        [
            (200, b"<html>", GarbledAnswerError),
            (200, b"[]", GarbledAnswerError),
            (500, b"{}", TargetUnreachableError),
            (403, b"{}", AccessDeniedError),
        ],
    )
    def test_what_it_says_wrongly_is_no_address(self, status, body, error):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        with HTTPServer(("127.0.0.1", 0), Handler) as server:
            Thread(target=server.handle_request, daemon=True).start()
            with pytest.raises(error):
                Webhook(self.facts(server.server_port, "x")).address_of(NAME)


def test_without_a_holder_there_is_none():
    assert name_records(settings(kind="none"), _Known()) is None
