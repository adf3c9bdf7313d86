"""The HTTP API: against a real server in threads, and ends that misbehave."""

import http.server
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.certificates import Authority
from tdev_operators.core.errors import (
    GarbledAnswerError,
    InputError,
    SetupMissingError,
    TargetTimeoutError,
    TargetUnreachableError,
)
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.http_api import BODY_LIMIT_BYTES, HttpApi

TOKEN = "t0ken-of-ours"


class _Handler(http.server.BaseHTTPRequestHandler):
    seen: list[tuple[str, dict[str, str]]]

    def do_GET(self) -> None:
        self.seen.append((self.path, {key.lower(): value for key, value in self.headers.items()}))
        status, body = {"/away": (302, b""), "/big": (200, b"x" * 2 * BODY_LIMIT_BYTES), "/gone": (404, b"{}")}.get(
            self.path, (200, b'{"status": "healthy"}')
        )
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def do_PATCH(self) -> None:
        self.seen.append((self.path, {key.lower(): value for key, value in self.headers.items()}))
        took = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps({"took": took}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class has it
        pass


class _Server:
    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.seen: list[tuple[str, dict[str, str]]] = []
        handler = type("Handler", (_Handler,), {"seen": self.seen})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        if context:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[_Server]:
    server = _Server()
    yield server
    server.close()


def _api(port: int, **keywords: Any) -> HttpApi:
    facts = ConnectionFacts("tdev_api", "http", host="127.0.0.1", port=port, password=TOKEN)
    return HttpApi(facts, **keywords)


def test_an_answer_comes_with_status_type_and_time(server: _Server) -> None:
    answer = _api(server.port).get("/health")
    assert (answer.status, answer.body) == (200, b'{"status": "healthy"}')
    assert answer.content_type == "application/json"
    assert 0 < answer.seconds < 5


def test_the_token_goes_only_with_authorised_requests(server: _Server) -> None:
    api = _api(server.port)
    api.get("/agents?limit=3")
    api.get("/agents", authorised=False)
    api.get("/agents", authorised=False, forged_token="made-up")
    [(path, with_token), (_, without), (_, forged)] = server.seen
    assert forged["authorization"] == "Bearer made-up"
    assert path == "/agents?limit=3"
    assert with_token["authorization"] == f"Bearer {TOKEN}"
    assert "authorization" not in without
    assert with_token["user-agent"] == without["user-agent"] == "tdev-maintenance-probe"


def test_a_change_is_sent_as_json_with_the_token(server: _Server) -> None:
    answer = _api(server.port).patch("/api/config", {"cache_ttl": 300})
    assert answer.status == 200
    assert json.loads(answer.body) == {"took": {"cache_ttl": 300}}
    [(path, headers)] = server.seen
    assert path == "/api/config"
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["content-type"] == "application/json"


def test_redirects_are_answers_and_bad_statuses_no_errors(server: _Server) -> None:
    api = _api(server.port)
    assert api.get("/away").status == 302
    assert api.get("/gone").status == 404
    assert len(server.seen) == 2


def test_a_body_is_cut_at_the_limit(server: _Server) -> None:
    assert len(_api(server.port).get("/big").body) == BODY_LIMIT_BYTES


def test_proxies_of_the_environment_are_left_aside(server: _Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert _api(server.port).get("/health").status == 200


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"host": "localhost", "port": 8000}, "http://localhost:8000"),
        ({"host": "https://api.example.com"}, "https://api.example.com"),
        ({"host": "api.example.com", "schema": "https", "port": 8443}, "https://api.example.com:8443"),
        ({"host": "http://[::1]", "port": 8000}, "http://[::1]:8000"),
    ],
)
def test_the_name_is_scheme_host_and_port(fields: dict[str, Any], name: str) -> None:
    assert HttpApi(ConnectionFacts("tdev_api", "http", **fields)).name == name


def test_a_password_in_the_address_is_refused_and_never_shown(everything_said: Callable[[BaseException], str]) -> None:
    api = HttpApi(ConnectionFacts("tdev_api", "http", host="https://me:hidden-word@api.example.com"))
    with pytest.raises(SetupMissingError, match="user or password in its host") as caught:
        api.get("/health")
    assert "hidden-word" not in everything_said(caught.value) + repr(api)


def test_a_base_path_stays_before_every_path(server: _Server) -> None:
    facts = ConnectionFacts("tdev_api", "http", host=f"http://127.0.0.1:{server.port}/v1/")
    HttpApi(facts).get("/health")
    assert server.seen[0][0] == "/v1/health"


def test_a_service_that_is_down_is_unreachable(free_port: int, everything_said: Callable[[BaseException], str]) -> None:
    api = _api(free_port)
    sentence = rf"^The API at http://127\.0\.0\.1:{free_port}, asked for /health, cannot be reached"
    with pytest.raises(TargetUnreachableError, match=sentence) as caught:
        api.get("/health")
    assert TOKEN not in everything_said(caught.value) + repr(api)


def test_a_silent_service_costs_its_time_limit(silent: Any, everything_said: Callable[[BaseException], str]) -> None:
    started = time.monotonic()
    with pytest.raises(TargetTimeoutError, match=r"asked for /health, did not answer in full within 1 s") as caught:
        _api(silent.port, timeout_seconds=1).get("/health")
    assert time.monotonic() - started < 5
    assert TOKEN not in everything_said(caught.value)


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n"], ids=["header", "body"])
def test_an_answer_that_drips_in_costs_its_time_limit(listen: Any, head: bytes) -> None:
    over = threading.Event()

    def drip(line: socket.socket) -> None:
        line.recv(65_536)
        line.sendall(head or b"HTTP/1.1 200 OK\r\nX: ")
        try:
            while True:
                line.sendall(b"x")
                time.sleep(0.05)
        except OSError:
            over.set()

    started = time.monotonic()
    with pytest.raises(TargetTimeoutError):
        _api(listen(drip).port, timeout_seconds=1).get("/health")
    assert time.monotonic() - started < 5
    assert over.wait(5)  # the abandoned request hung up


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", GarbledAnswerError),
        (b"\x00\xff\x00\xff\r\n\r\n", GarbledAnswerError),
        (b"", TargetUnreachableError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", TargetUnreachableError),
    ],
)
def test_garbage_and_answers_cut_off(listen: Any, said: bytes, error: type[Exception]) -> None:
    def answer(line: socket.socket) -> None:
        line.recv(65_536)
        line.sendall(said)
        line.shutdown(socket.SHUT_RDWR)

    with pytest.raises(error):
        _api(listen(answer).port).get("/health")


def test_no_packet_back_is_paid_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # A full backlog accepts no further connection and says nothing: what a firewall that drops looks like.
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for line in waiting:
            line.setblocking(False)
            line.connect_ex(full.getsockname())
        api = _api(full.getsockname()[1], connect_timeout_seconds=1)
        started = time.monotonic()
        for path in ("/health", "/agents", "/generation/current", "/api/evolution/status"):
            with pytest.raises(TargetTimeoutError, match="accepted no connection within 1 s"):
                api.get(path)
        assert time.monotonic() - started < 4
        for line in waiting:
            line.close()


def test_tls_is_checked_against_the_named_authority(tmp_path: Path) -> None:
    authority, now = Authority(), datetime.now(UTC)
    pem = tmp_path / "server.pem"
    pem.write_bytes(authority.issue("localhost", since=now - timedelta(days=1), until=now + timedelta(days=1)))
    (tmp_path / "ca.pem").write_bytes(authority.root_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = _Server(context)
    try:
        facts = ConnectionFacts("tdev_api", "http", host="https://localhost", port=server.port)
        trusting = ConnectionFacts(
            "tdev_api", "http", host="https://localhost", port=server.port, extra={"ca_file": str(tmp_path / "ca.pem")}
        )
        assert HttpApi(trusting).get("/health").status == 200
        with pytest.raises(TargetUnreachableError, match="certificate verify failed"):
            HttpApi(facts).get("/health")
    finally:
        server.close()


@pytest.mark.parametrize("host", ["", "ftp://example.com", "http://exa mple", "http://["])
def test_a_connection_without_an_http_address_says_so(host: str) -> None:
    with pytest.raises(SetupMissingError, match="The connection tdev_api names no HTTP address"):
        HttpApi(ConnectionFacts("tdev_api", "http", host=host)).get("/health")


def test_a_ca_file_that_cannot_be_read_is_named() -> None:
    facts = ConnectionFacts("tdev_api", "http", host="https://localhost", extra={"ca_file": "/no/such/file"})
    with pytest.raises(SetupMissingError, match="extra ca_file that cannot be read"):
        HttpApi(facts).get("/health")


@pytest.mark.parametrize("path", ["/ümlaut", "/a\nb"])
def test_a_path_that_is_none_is_an_input_error(server: _Server, path: str) -> None:
    with pytest.raises(InputError, match="percent-encode"):
        _api(server.port).get(path)


def test_a_token_that_cannot_be_sent_is_not_shown(
    server: _Server, everything_said: Callable[[BaseException], str]
) -> None:
    facts = ConnectionFacts("tdev_api", "http", host="127.0.0.1", port=server.port, password=f"{TOKEN}\nmore")
    with pytest.raises(SetupMissingError, match="holds a token that cannot stand in a header") as caught:
        HttpApi(facts).get("/health")
    assert TOKEN not in everything_said(caught.value)
