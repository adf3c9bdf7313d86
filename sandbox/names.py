"""A DNS server on loopback UDP that knows the public names: `NameServer`, run as `python -m sandbox.names`.

Beside it is a web hook that changes them: `GET ?name=N` says where a name points to, `POST` lets it point elsewhere.
"""

import hmac
import json
import os
import secrets
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from sandbox.parts import PythonPart
from sandbox.processes import LOOPBACK, Supervisor, free_port

_TTL_SECONDS = 60


class NameServer(PythonPart):
    """Answers A queries for its names with 127.0.0.1, other types with nothing, other names with NXDOMAIN.

    `hook_port` and `token` are the web hook's, which changes the addresses until the server stops.
    """

    module = "sandbox.names"

    def __init__(self, supervisor: Supervisor, names: Sequence[str], name: str = "names") -> None:
        """Know these names."""
        super().__init__(supervisor, name)
        self.port = free_port(socket.SOCK_DGRAM)
        self.hook_port = free_port()
        self.token = secrets.token_urlsafe(12)
        self.names = tuple(names)

    def _environment(self) -> Mapping[str, str]:
        return {
            "SANDBOX_PORT": str(self.port),
            "SANDBOX_HOOK_PORT": str(self.hook_port),
            "SANDBOX_TOKEN": self.token,
            "SANDBOX_NAMES": " ".join(self.names),
        }

    def _ready(self) -> bool:
        query = dns.message.make_query(self.names[0], dns.rdatatype.A)
        try:
            dns.query.udp(query, self.host, port=self.port, timeout=0.2)
        except (dns.exception.DNSException, OSError):
            return False
        return True


def _answer(query: dns.message.Message, known: Mapping[str, str]) -> dns.message.Message:
    response = dns.message.make_response(query, recursion_available=True)
    response.flags |= dns.flags.AA
    question = query.question[0]
    address = known.get(question.name.to_text(omit_final_dot=True).lower())
    if address is None:
        response.set_rcode(dns.rcode.NXDOMAIN)
    elif question.rdtype == dns.rdatatype.A:
        response.answer.append(
            dns.rrset.from_text(question.name, _TTL_SECONDS, dns.rdataclass.IN, dns.rdatatype.A, address)
        )
    return response


def _hook(known: dict[str, str], port: int, token: str) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = parse_qs(urlsplit(self.path).query).get("name", [""])[0]
            self._answer(lambda: known.get(name, ""))

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))

            def change() -> str:
                known[asked["name"]] = asked["address"]
                return str(asked["address"])

            self._answer(change)

        def _answer(self, do: Callable[[], str]) -> None:
            given = self.headers.get("Authorization", "")
            right = hmac.compare_digest(given.encode(), f"Bearer {token}".encode())
            body = json.dumps({"address": do()} if right else {}).encode()
            self.send_response(200 if right else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return ThreadingHTTPServer((LOOPBACK, port), Handler)


def _serve(environment: Mapping[str, str]) -> None:
    known = dict.fromkeys(environment["SANDBOX_NAMES"].split(), LOOPBACK)
    hook = _hook(known, int(environment["SANDBOX_HOOK_PORT"]), environment["SANDBOX_TOKEN"])
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((LOOPBACK, int(environment["SANDBOX_PORT"])))
        while True:
            wire, client = server.recvfrom(4096)
            try:
                query = dns.message.from_wire(wire)
            except dns.exception.DNSException:
                continue
            if query.question:
                server.sendto(_answer(query, known).to_wire(), client)


if __name__ == "__main__":
    _serve(os.environ)
