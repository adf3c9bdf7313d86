"""DNS: the system's resolver, and a real server on loopback."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from tdev_operators.core.errors import InputError, SettingsError, TargetTimeoutError, TargetUnreachableError
from tdev_operators.hooks.names import DnsResolver

_ZONE = {
    ("both.example.", "A"): ["192.0.2.10", "192.0.2.9"],
    ("both.example.", "AAAA"): ["2001:db8::1"],
    ("four.example.", "A"): ["192.0.2.1"],
}


def _answer(query: dns.message.Message) -> dns.message.Message:
    response = dns.message.make_response(query)
    response.flags |= dns.flags.AA
    question = query.question[0]
    name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
    if name.startswith("broken"):
        response.set_rcode(dns.rcode.SERVFAIL)
    elif records := _ZONE.get((name, kind)):
        response.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *records))
    elif not any(known == name for known, _ in _ZONE):
        response.set_rcode(dns.rcode.NXDOMAIN)
    return response


class _Server:
    """A DNS server; `reply` returning nothing leaves the question open."""

    def __init__(self, reply: Callable[[dns.message.Message], dns.message.Message | None], host: str) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self._socket.settimeout(0.05)
        self._reply = reply
        self._over = threading.Event()
        port = self._socket.getsockname()[1]
        self.setting = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                data, client = self._socket.recvfrom(4096)
                if answer := self._reply(dns.message.from_wire(data)):
                    self._socket.sendto(answer.to_wire(), client)

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Start DNS servers; returns the setting that names one."""
    servers: list[_Server] = []

    def start(reply: Callable[..., dns.message.Message | None] = _answer, host: str = "127.0.0.1") -> str:
        servers.append(_Server(reply, host))
        return servers[-1].setting

    yield start
    for server in servers:
        server.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_addresses_of_both_families_come_sorted(serve: Callable[..., str], host: str) -> None:
    resolver = DnsResolver(serve(host=host))
    assert resolver.resolve("both.example") == ("192.0.2.9", "192.0.2.10", "2001:db8::1")
    assert resolver.resolve("four.example") == ("192.0.2.1",)


def test_a_name_that_does_not_exist_has_no_addresses(serve: Callable[..., str]) -> None:
    assert DnsResolver(serve()).resolve("nowhere.example") == ()


def test_a_server_that_fails_is_unreachable_with_its_word(serve: Callable[..., str]) -> None:
    setting = serve()
    with pytest.raises(TargetUnreachableError) as caught:
        DnsResolver(setting).resolve("broken.example")
    assert str(caught.value) == f"The DNS server {setting} gave no answer for broken.example (SERVFAIL); see its log."


def test_a_silent_server_costs_its_time_limit(serve: Callable[..., str]) -> None:
    setting = serve(lambda _: None)
    started = time.monotonic()
    with pytest.raises(
        TargetTimeoutError, match=rf"^The DNS server {setting} did not answer for both\.example within 1 s"
    ):
        DnsResolver(setting, timeout_seconds=1).resolve("both.example")
    assert time.monotonic() - started < 4


def test_a_server_that_is_down_is_unreachable_or_silent() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind(("127.0.0.1", 0))
        port = line.getsockname()[1]
    with pytest.raises((TargetUnreachableError, TargetTimeoutError), match=f"The DNS server 127.0.0.1:{port}"):
        DnsResolver(f"127.0.0.1:{port}", timeout_seconds=1).resolve("both.example")


def test_the_system_knows_localhost_from_its_hosts_file() -> None:
    assert "127.0.0.1" in DnsResolver("system").resolve("localhost")


def test_the_system_says_when_a_name_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    # What the C library answers depends on the machine's DNS; the meaning of its answers does not.
    def answers(code: int) -> None:
        def ask(*_: object, **__: object) -> None:
            raise socket.gaierror(code, "said the library")

        monkeypatch.setattr(socket, "getaddrinfo", ask)

    for code in (socket.EAI_NONAME, socket.EAI_NODATA):
        answers(code)
        assert DnsResolver("system").resolve("nowhere.example") == ()
    for code in (socket.EAI_AGAIN, socket.EAI_FAIL):
        answers(code)
        with pytest.raises(TargetUnreachableError, match=r"resolver could not look nowhere\.example up"):
            DnsResolver("system").resolve("nowhere.example")


def test_a_system_look_up_that_hangs_costs_its_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(30) and [])
    started = time.monotonic()
    with pytest.raises(TargetTimeoutError, match="This machine's resolver did not answer"):
        DnsResolver("system", timeout_seconds=0.3).resolve("nowhere.example")
    release.set()
    assert time.monotonic() - started < 4


@pytest.mark.parametrize("setting", ["system", ""])
@pytest.mark.parametrize("name", ["a" * 64 + ".example", "a..example"])
def test_what_can_be_no_name_is_an_input_error(serve: Callable[..., str], setting: str, name: str) -> None:
    with pytest.raises(InputError, match="can be no host name"):
        DnsResolver(setting or serve()).resolve(name)


@pytest.mark.parametrize("setting", ["", "10.0.0.2", "dns.example.com:53", "10.0.0.2:", "10.0.0.2:dns", "::1"])
def test_a_setting_that_names_no_resolver_says_so(setting: str) -> None:
    with pytest.raises(SettingsError, match=r'dns\.resolver: .* write "system" or "address:port"'):
        DnsResolver(setting)
