"""The channels against real servers: SMTP in its three kinds of encryption, HTTP for Slack, moto for SNS."""

import datetime as dt
import email.policy
import ipaddress
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import get_args

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from moto import mock_aws

from tdev_operators.core.errors import (
    AccessDeniedError,
    GarbledAnswerError,
    SettingsError,
    SetupMissingError,
    TargetTimeoutError,
    TargetUnreachableError,
    TdevError,
    ThrottledError,
)
from tdev_operators.core.reporting.alerts import Notice, NoticeKind
from tdev_operators.core.reporting.messages import AlertMessage
from tdev_operators.core.reporting.report import build_report
from tdev_operators.core.reporting.settings import ChannelName, MailSettings, SnsSettings
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.alerts import BrokenChannel, channel_names, load_channels, mail, slack, sns
from tdev_operators.hooks.connections import ConnectionFacts, EnvironmentConnections
from tdev_operators.hooks.heartbeat import send_heartbeat
from tests.records import HOSTILE, NOON, REF, full_outcome, settings

PEOPLE = MailSettings(sender="Maintenance <maintenance@t-developer.com>", recipients=("ops@t-developer.com",))


def message(name: str = "agent-17", count: int = 1) -> AlertMessage:
    report = build_report(REF, full_outcome(name), settings(), attempt=1, bad_since={}, now=NOON)
    notice = Notice(
        NoticeKind.OPENED, "health_check", f"database.{name}", Verdict.CRITICAL, f"{name} broke", "Mend it."
    )
    return AlertMessage(
        "7b0c8a3e-0000-4000-8000-000000000001", "t-developer", (notice,) * count, NOON, report.url, report
    )


# The registry


def test_every_channel_of_the_settings_is_a_file_and_every_file_can_be_chosen():
    assert channel_names() == sorted(get_args(ChannelName))


def test_a_chosen_channel_without_its_connection_or_table_is_there_and_says_so():
    rules = settings(channels=("mail", "slack", "sns"), sns=None)
    channels = load_channels(rules, EnvironmentConnections({}))
    assert [channel.name for channel in channels] == ["mail", "slack", "sns"]
    complaints = []
    for channel in channels:
        with pytest.raises(TdevError) as error:
            channel.send(message())
        complaints.append(str(error.value))
    assert "connection tdev_smtp is missing" in complaints[0]
    assert "connection tdev_slack is missing" in complaints[1]
    assert "add it" in complaints[2]


def test_a_channel_with_an_empty_connection_says_what_to_set():
    connections = EnvironmentConnections({"AIRFLOW_CONN_TDEV_SMTP": "smtp://", "AIRFLOW_CONN_TDEV_SLACK": "http://h"})
    for name, fact in (("mail", "names no host"), ("slack", "holds no webhook URL")):
        channel = load_channels(settings(channels=(name,)), connections)[0]
        assert isinstance(channel, BrokenChannel)
        with pytest.raises(SetupMissingError, match=fact):
            channel.send(message())
    with pytest.raises(SettingsError, match=r"no \[alerts.mail\]"):
        load_channels(settings(channels=("mail",), mail=None), connections)[0].send(message())


# Mail


def plain_facts(mail_box, **more) -> ConnectionFacts:
    extra = {"disable_ssl": True, "disable_tls": True}
    facts = ConnectionFacts(
        "tdev_smtp", "smtp", mail_box.host, mail_box.port, mail_box.login, mail_box.password, extra=extra
    )
    return replace(facts, **more)


def test_a_mail_arrives_whole_as_text_and_html(mail_box):
    mail.MailChannel(PEOPLE, plain_facts(mail_box)).send(message())
    (file,) = Path(mail_box.folder).glob("*.eml")
    sent = message_from_bytes(file.read_bytes(), policy=email.policy.default)
    assert sent["Subject"] == "[t-developer] CRITICAL: database.agent-17"
    assert sent["To"] == "ops@t-developer.com"
    assert sent["Message-ID"] == "<7b0c8a3e-0000-4000-8000-000000000001@t-developer.com>"
    assert sent["Auto-Submitted"] == "auto-generated"
    text, page = sent.get_body(("plain",)).get_content(), sent.get_body(("html",)).get_content()
    for part in (text, page):
        assert "agent-17 broke" in part
        assert "Run VACUUM on agent-17." in part
        assert message().url in part


def test_hostile_names_add_no_header(mail_box):
    channel = mail.MailChannel(PEOPLE, plain_facts(mail_box))
    for name in HOSTILE:
        channel.send(message(name))
    for file in Path(mail_box.folder).glob("*.eml"):
        sent = message_from_bytes(file.read_bytes(), policy=email.policy.default)
        assert "Bcc" not in sent
        assert sent["Subject"].strip().startswith("[t-developer] CRITICAL: database.")


def test_a_refused_login_is_said_without_the_password(mail_box, everything_said):
    wrong = "hunter2" * 2
    channel = mail.MailChannel(PEOPLE, plain_facts(mail_box, login=mail_box.login, password=wrong))
    with pytest.raises(AccessDeniedError) as error:
        channel.send(message())
    assert wrong not in everything_said(error.value)


def test_a_mail_server_that_is_down_or_silent_costs_a_bounded_time(mail_box, free_port, silent):
    with pytest.raises(TargetUnreachableError, match="cannot be reached"):
        mail.MailChannel(PEOPLE, plain_facts(mail_box, port=free_port)).send(message())
    extra = {"disable_ssl": True, "disable_tls": True, "timeout": 0.5}
    with pytest.raises(TargetTimeoutError):
        mail.MailChannel(PEOPLE, plain_facts(mail_box, host=silent.host, port=silent.port, extra=extra)).send(message())


def test_the_uri_form_of_a_connection_does_not_switch_encryption_off():
    uri = "smtp://u:p@mail.example:587?disable_ssl=true&disable_tls=false"
    (channel,) = load_channels(settings(channels=("mail",)), EnvironmentConnections({"AIRFLOW_CONN_TDEV_SMTP": uri}))
    assert (channel._encrypted, channel._upgraded) == (False, True)


@pytest.mark.parametrize("extra", ["timeout=10s", "disable_tls=perhaps"])
def test_a_wrong_extra_breaks_the_channel_with_a_sentence_and_nothing_else(extra):
    connections = EnvironmentConnections({"AIRFLOW_CONN_TDEV_SMTP": f"smtp://mail.example?{extra}"})
    (channel,) = load_channels(settings(channels=("mail",)), connections)
    with pytest.raises(SettingsError, match=extra.partition("=")[0]):
        channel.send(message())


def test_a_password_never_travels_in_the_clear(mail_box):
    facts = plain_facts(mail_box, host="mail.example", login="u", password="p")
    with pytest.raises(SettingsError, match="unencrypted"):
        mail.MailChannel(PEOPLE, facts).send(message())


@dataclass
class TlsServer:
    port: int
    ca_file: str
    mails: list[bytes]


class Keep:
    def __init__(self) -> None:
        self.mails: list[bytes] = []

    async def handle_DATA(self, server, session, envelope) -> str:  # noqa: N802 - aiosmtpd's name
        self.mails.append(envelope.content)
        return "250 OK"


class StartTls(Controller):
    def factory(self) -> SMTP:
        return SMTP(self.handler, tls_context=self.tls, require_starttls=True)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    no_password = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, no_password)
    (folder / "key.pem").write_bytes(pem)
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return folder


@pytest.fixture(params=["tls", "starttls"])
def encrypted(request, certificate, free_port) -> Iterator[ConnectionFacts]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    keep = Keep()
    if request.param == "tls":
        server = Controller(keep, hostname="127.0.0.1", port=free_port, ssl_context=context)
    else:
        server = StartTls(keep, hostname="127.0.0.1", port=free_port)
        server.tls = context
    server.start()
    extra = {"ca_file": str(certificate / "cert.pem"), "disable_ssl": request.param == "starttls"}
    yield ConnectionFacts("tdev_smtp", "smtp", "127.0.0.1", free_port, extra=extra | {"mails": keep.mails})
    server.stop()


def test_encrypted_mail_arrives_and_an_unknown_authority_is_refused(encrypted):
    mail.MailChannel(PEOPLE, encrypted).send(message())
    assert len(encrypted.extra["mails"]) == 1
    stranger = replace(encrypted, extra={"disable_ssl": encrypted.extra["disable_ssl"]})
    with pytest.raises(GarbledAnswerError, match="TLS"):
        mail.MailChannel(PEOPLE, stranger).send(message())


# Slack and the heartbeat


@dataclass
class Web:
    url: str = ""
    status: int = 200
    bodies: list[bytes] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


@pytest.fixture
def web() -> Iterator[Web]:
    told = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.do_GET()

        def do_GET(self) -> None:
            told.paths.append(self.path)
            self.send_response(told.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}/services/T0/B0/verysecret"
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_message_reaches_slack_escaped(web):
    slack.SlackChannel(web.url).send(message(HOSTILE[11]))
    body = json.loads(web.bodies[0])
    text = body["blocks"][0]["text"]["text"]
    assert "&lt;!channel&gt;" in text
    assert "&lt;https://evil.example|click&gt;" in text
    assert "<" not in text
    assert body["blocks"][0]["text"]["verbatim"] is True
    assert body["blocks"][-1]["elements"][0]["text"] == f"<{message(HOSTILE[11]).url}|The whole report>"
    assert "<" not in body["text"]


def test_a_slack_message_stays_within_slacks_limits(web):
    slack.SlackChannel(web.url).send(message("x" * 5000, count=60))
    body = json.loads(web.bodies[0])
    assert len(body["blocks"]) <= 50
    assert all(len(block["text"]["text"]) <= 3000 for block in body["blocks"] if "text" in block)
    assert "40 more notices" in body["blocks"][20]["text"]["text"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, AccessDeniedError), (403, AccessDeniedError), (429, ThrottledError), (500, GarbledAnswerError)],
)
def test_what_slack_refuses_is_said_without_the_url(web, everything_said, status, kind):
    web.status = status
    with pytest.raises(kind) as error:
        slack.SlackChannel(web.url).send(message())
    assert "verysecret" not in everything_said(error.value)


def test_slack_that_is_down_is_said_without_the_url(free_port, everything_said):
    secret = "very" * 2
    with pytest.raises(TargetUnreachableError) as error:
        slack.SlackChannel(f"http://127.0.0.1:{free_port}/{secret}").send(message())
    assert secret not in everything_said(error.value)


def test_a_heartbeat_is_one_get(web):
    send_heartbeat(web.url)
    assert web.paths == ["/services/T0/B0/verysecret"]


def test_a_heartbeat_that_fails_is_said_without_the_url(web, free_port, everything_said):
    web.status = 404
    with pytest.raises(GarbledAnswerError, match="answered 404") as refused:
        send_heartbeat(web.url)
    with pytest.raises(TargetUnreachableError) as lost:
        send_heartbeat(web.url.replace(web.url.split("/")[2], f"127.0.0.1:{free_port}"))
    for nonsense in ("beats.example/x", "file:///etc/passwd", "http://"):
        with pytest.raises(SettingsError, match="heartbeat_url"):
            send_heartbeat(nonsense)
    assert "verysecret" not in everything_said(refused.value) + everything_said(lost.value)


# SNS


def test_a_message_reaches_the_topic():
    facts = ConnectionFacts("tdev_aws", "aws", login="testing", password="testing", extra={"region_name": "eu-west-1"})
    with mock_aws():
        import boto3

        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "eu-west-1"}
        topic = boto3.client("sns", **keys).create_topic(Name="ops")["TopicArn"]
        queue = boto3.client("sqs", **keys)
        url = queue.create_queue(QueueName="ops")["QueueUrl"]
        boto3.client("sns", **keys).subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:eu-west-1:123456789012:ops"
        )
        sns.SnsChannel(topic, facts).send(message("é" * 200))
        body = json.loads(queue.receive_message(QueueUrl=url)["Messages"][0]["Body"])
        assert body["Subject"].startswith("[t-developer] CRITICAL: database.")
        assert len(body["Subject"]) <= 100
        assert "Run VACUUM on" in body["Message"]


def test_a_topic_that_is_not_there_is_one_sentence():
    facts = ConnectionFacts("tdev_aws", "aws", login="testing", password="testing", extra={"region_name": "eu-west-1"})
    rules = settings(channels=("sns",), sns=SnsSettings(topic_arn="arn:aws:sns:eu-west-1:123456789012:none"))

    class Source:
        def get(self, conn_id: str) -> ConnectionFacts:
            return facts

    with mock_aws(), pytest.raises(TdevError, match="The SNS topic arn:aws:sns:eu-west-1:123456789012:none"):
        load_channels(rules, Source())[0].send(message())
