"""A DNS server on loopback UDP that knows the public names: `NameServer`, run as `python -m sandbox.names`."""

import os
import socket
from collections.abc import Mapping, Sequence

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
    """Answers A queries for its names with 127.0.0.1, other types with nothing, other names with NXDOMAIN."""

    module = "sandbox.names"

    def __init__(self, supervisor: Supervisor, names: Sequence[str], name: str = "names") -> None:
        """Know these names."""
        super().__init__(supervisor, name)
        self.port = free_port(socket.SOCK_DGRAM)
        self.names = tuple(names)

    def _environment(self) -> Mapping[str, str]:
        return {"SANDBOX_PORT": str(self.port), "SANDBOX_NAMES": " ".join(self.names)}

    def _ready(self) -> bool:
        query = dns.message.make_query(self.names[0], dns.rdatatype.A)
        try:
            dns.query.udp(query, self.host, port=self.port, timeout=0.2)
        except (dns.exception.DNSException, OSError):
            return False
        return True


def _answer(query: dns.message.Message, known: frozenset[str]) -> dns.message.Message:
    response = dns.message.make_response(query, recursion_available=True)
    response.flags |= dns.flags.AA
    question = query.question[0]
    if question.name.to_text(omit_final_dot=True).lower() not in known:
        response.set_rcode(dns.rcode.NXDOMAIN)
    elif question.rdtype == dns.rdatatype.A:
        response.answer.append(
            dns.rrset.from_text(question.name, _TTL_SECONDS, dns.rdataclass.IN, dns.rdatatype.A, LOOPBACK)
        )
    return response


def _serve(environment: Mapping[str, str]) -> None:
    known = frozenset(environment["SANDBOX_NAMES"].split())
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
