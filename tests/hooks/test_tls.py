"""TLS ends: good ones, and every way to be bad."""

import errno
import resource
import socket
import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sandbox.certificates import Authority
from tdev_operators.core.errors import (
    GarbledAnswerError,
    SetupMissingError,
    TargetTimeoutError,
    TargetUnreachableError,
)
from tdev_operators.hooks.tls import TlsProbe

NAME = "api.t-developer.com"
NOW = datetime.now(UTC)
DAY = timedelta(days=1)


LOOPBACK = "127.0.0.1"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def probe(authority: Authority, tmp_path: Path) -> TlsProbe:
    (tmp_path / "ca.pem").write_bytes(authority.root_pem)
    return TlsProbe(ca_file=str(tmp_path / "ca.pem"), timeout_seconds=5)


@pytest.fixture
def serve(listen: Any, tmp_path: Path) -> Callable[..., int]:
    """Serve a PEM of key and chain; returns the port."""

    def start(pem: bytes, *, family: socket.AddressFamily = socket.AF_INET, old: bool = False) -> int:
        file = tmp_path / "server.pem"
        file.write_bytes(pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        if old:
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.maximum_version = ssl.TLSVersion.TLSv1_1

        def talk(line: socket.socket) -> None:
            with context.wrap_socket(line, server_side=True) as secured:
                secured.recv(1)

        return int(listen(talk, family).port)

    return start


def _self_signed(name: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return secret + certificate.public_bytes(pem)


def _names_in(chain: tuple[bytes, ...]) -> list[str]:
    return [
        str(x509.load_der_x509_certificate(one).subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
        for one in chain
    ]


def test_a_good_end_shows_its_chain_and_no_refusal(authority: Authority, probe: TlsProbe, serve: Any) -> None:
    port = serve(authority.issue(NAME, since=NOW - DAY, until=NOW + 300 * DAY))
    served = probe.probe(NAME, LOOPBACK, port)
    assert _names_in(served.chain) == [NAME, "T-Developer Sandbox Intermediate"]
    assert (served.refusal, served.protocol, served.address) == ("", "TLSv1.3", f"127.0.0.1:{port}")


def test_an_end_on_ipv6_is_reached(authority: Authority, probe: TlsProbe, serve: Any) -> None:
    port = serve(authority.issue(NAME, since=NOW - DAY, until=NOW + DAY), family=socket.AF_INET6)
    served = probe.probe(NAME, "::1", port)
    assert (served.address, served.refusal) == (f"[::1]:{port}", "")


def test_an_address_without_a_route_is_our_own_fault(monkeypatch: pytest.MonkeyPatch, probe: TlsProbe) -> None:
    def no_route(*_: object, **__: object) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", no_route)
    with pytest.raises(SetupMissingError, match="this machine has no route to such addresses"):
        probe.probe(NAME, "2001:db8::1", 443)


def _expired(authority: Authority) -> bytes:
    return authority.issue(NAME, since=NOW - 90 * DAY, until=NOW - DAY)


def _wrong_host(authority: Authority) -> bytes:
    return authority.issue("other.t-developer.com", since=NOW - DAY, until=NOW + DAY)


def _not_yet(authority: Authority) -> bytes:
    return authority.issue(NAME, since=NOW + DAY, until=NOW + 90 * DAY)


def _without_intermediate(authority: Authority) -> bytes:
    whole = authority.issue(NAME, since=NOW - DAY, until=NOW + DAY)
    end = b"-----END CERTIFICATE-----\n"
    return whole.partition(end)[0] + end


@pytest.mark.parametrize(
    ("pem", "refusal"),
    [
        (_expired, "certificate has expired"),
        (_not_yet, "certificate is not yet valid"),
        (_wrong_host, "Hostname mismatch, certificate is not valid for 'api.t-developer.com'."),
        (_without_intermediate, "unable to get local issuer certificate"),
        (lambda _: _self_signed(NAME), "self-signed certificate"),
        (lambda _: Authority().issue(NAME, since=NOW - DAY, until=NOW + DAY), "unable to get local issuer certificate"),
    ],
    ids=["expired", "not yet", "wrong host", "chain broken", "self-signed", "unknown authority"],
)
def test_a_refused_end_still_shows_its_chain_and_why(
    authority: Authority, probe: TlsProbe, serve: Any, pem: Callable[[Authority], bytes], refusal: str
) -> None:
    served = probe.probe(NAME, LOOPBACK, serve(pem(authority)))
    assert served.refusal == refusal
    assert served.chain
    assert x509.load_der_x509_certificate(served.chain[0])


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_an_end_that_speaks_only_old_protocols_is_refused_and_shown(
    authority: Authority, probe: TlsProbe, serve: Any
) -> None:
    served = probe.probe(NAME, LOOPBACK, serve(authority.issue(NAME, since=NOW - DAY, until=NOW + DAY), old=True))
    assert served.protocol == "TLSv1.1"
    assert "protocol version" in served.refusal
    assert served.chain


def test_a_handshake_that_hangs_costs_its_time_limit(silent: Any) -> None:
    started = time.monotonic()
    with pytest.raises(
        TargetTimeoutError, match=rf"^The TLS end {NAME}:{silent.port} at {LOOPBACK} did not finish a handshake within"
    ):
        TlsProbe(timeout_seconds=1).probe(NAME, LOOPBACK, silent.port)
    assert time.monotonic() - started < 5


def test_a_handshake_that_drips_in_costs_its_time_limit(listen: Any) -> None:
    def drip(line: socket.socket) -> None:
        line.recv(1024)
        line.sendall(b"\x16\x03\x03\x3f\xff")  # a record of 16 KiB that never ends
        while True:
            line.sendall(b"\x02")
            time.sleep(0.05)

    started = time.monotonic()
    with pytest.raises((TargetTimeoutError, GarbledAnswerError)):
        TlsProbe(timeout_seconds=1).probe(NAME, LOOPBACK, listen(drip).port)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "said",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"220 mail.example.com ESMTP\r\n", b""],
    ids=["http", "smtp", "nothing"],
)
def test_plain_tcp_is_garbled(listen: Any, said: bytes) -> None:
    def plain(line: socket.socket) -> None:
        line.recv(4096)
        line.sendall(said)
        line.shutdown(socket.SHUT_RDWR)

    with pytest.raises(GarbledAnswerError, match="speaks no TLS that we understand"):
        TlsProbe(timeout_seconds=5).probe(NAME, LOOPBACK, listen(plain).port)


def test_an_end_that_is_down_is_unreachable(free_port: int) -> None:
    said = rf"{NAME}:{free_port} at {LOOPBACK} cannot be reached \(Connection refused\)"
    with pytest.raises(TargetUnreachableError, match=said):
        TlsProbe(timeout_seconds=5).probe(NAME, LOOPBACK, free_port)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_file_that_cannot_be_read_is_named(tmp_path: Path, free_port: int, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content)
    with pytest.raises(SetupMissingError, match=r"cannot be read; mend tls\.ca_file"):
        TlsProbe(ca_file=str(file)).probe(NAME, LOOPBACK, free_port)


def test_ends_are_probed_side_by_side(authority: Authority, probe: TlsProbe, serve: Any) -> None:
    port = serve(authority.issue(NAME, since=NOW - DAY, until=NOW + DAY))
    refusals: list[str] = []

    def look() -> None:
        refusals.append(probe.probe(NAME, LOOPBACK, port).refusal)

    threads = [threading.Thread(target=look) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refusals == [""] * 6


def _before_tls(*talk: tuple[bytes, bytes], greeting: bytes = b"") -> Callable[[socket.socket], None]:
    """Return what a server says before the handshake: to each line its answer."""

    def begin(line: socket.socket) -> None:
        if greeting:
            line.sendall(greeting)
        for asked, answer in talk:
            heard = b""
            while len(heard) < len(asked):
                piece = line.recv(len(asked) - len(heard))
                if not piece:
                    return
                heard += piece
            assert heard == asked
            line.sendall(answer)

    return begin


@pytest.mark.parametrize(
    ("protocol", "begin"),
    [
        (
            "smtp",
            _before_tls(
                (b"EHLO probe.invalid\r\n", b"250-mx\r\n250-SIZE 5\r\n250 STARTTLS\r\n"),
                (b"STARTTLS\r\n", b"220 go ahead\r\n"),
                greeting=b"220-mx\r\n220 ready\r\n",
            ),
        ),
        (
            "imap",
            _before_tls((b"a STARTTLS\r\n", b"* CAPABILITY IMAP4rev1\r\na OK begin\r\n"), greeting=b"* OK ready\r\n"),
        ),
        ("postgres", _before_tls((b"\x00\x00\x00\x08\x04\xd2\x16\x2f", b"S"))),
    ],
)
def test_an_end_that_begins_in_the_clear(
    authority: Authority, probe: TlsProbe, listen: Any, tmp_path: Path, protocol: Any, begin: Any
) -> None:
    (tmp_path / "server.pem").write_bytes(authority.issue(NAME, since=NOW - DAY, until=NOW + 300 * DAY))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")

    def talk(line: socket.socket) -> None:
        begin(line)
        with context.wrap_socket(line, server_side=True) as secured:
            secured.recv(1)

    port = listen(talk, socket.AF_INET).port
    served = probe.probe(NAME, LOOPBACK, port, starttls=protocol)
    assert (served.refusal, _names_in(served.chain)[0]) == ("", NAME)


def test_a_real_postgresql_that_offers_no_tls_says_so(cluster: Any, probe: TlsProbe) -> None:
    with pytest.raises(GarbledAnswerError, match="offers no TLS in postgres \\(it said 'N'\\)"):
        probe.probe("localhost", LOOPBACK, cluster.port, starttls="postgres")


@pytest.mark.parametrize(
    ("protocol", "begin", "said"),
    [
        ("smtp", _before_tls(greeting=b"554 no service\r\n"), "554 no service"),
        ("smtp", _before_tls(greeting=b"220 " + b"x" * 5000), "xxxx"),
        ("imap", _before_tls((b"a STARTTLS\r\n", b"a BAD what\r\n"), greeting=b"* OK ready\r\n"), "a BAD what"),
        ("imap", _before_tls(greeting=b"* BYE " * 400 + b"\r\n"), "BYE"),
    ],
)
def test_an_end_that_offers_no_tls_is_told_with_its_words(
    probe: TlsProbe, listen: Any, protocol: Any, begin: Any, said: str
) -> None:
    with pytest.raises(GarbledAnswerError, match=said):
        probe.probe(NAME, LOOPBACK, listen(begin, socket.AF_INET).port, starttls=protocol)


def test_a_greeting_that_drips_in_costs_the_time_limit(listen: Any) -> None:
    def talk(line: socket.socket) -> None:
        for _ in range(100):
            line.sendall(b"2")
            time.sleep(0.1)

    began = time.monotonic()
    with pytest.raises(TargetTimeoutError):
        TlsProbe(timeout_seconds=1).probe(NAME, LOOPBACK, listen(talk, socket.AF_INET).port, starttls="smtp")
    assert time.monotonic() - began < 5


def test_a_chain_of_ten_megabytes_is_refused_in_bounded_memory(
    authority: Authority, probe: TlsProbe, serve: Any
) -> None:
    one = x509.load_pem_x509_certificate(authority.root_pem).public_bytes(serialization.Encoding.DER)
    pem = authority.issue(NAME, since=NOW - DAY, until=NOW + 300 * DAY) + authority.root_pem * (10_000_000 // len(one))
    port = serve(pem)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises((GarbledAnswerError, TargetUnreachableError)):
        probe.probe(NAME, LOOPBACK, port)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024, "KiB, the server's part included"
