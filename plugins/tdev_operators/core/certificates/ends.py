"""What TLS ends serve: every address of every name, all at once."""

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cryptography import x509

from tdev_operators.core.errors import GarbledAnswerError, SetupMissingError, TdevError
from tdev_operators.core.health.findings import OF_THE_TARGET
from tdev_operators.core.health.side_by_side import side_by_side
from tdev_operators.core.ports import StartTls, SystemPorts

_AT_ONCE = 64  # one end in ten that hangs must not keep the others waiting


@dataclass(frozen=True, slots=True)
class End:
    """A name and a port. With `starttls` the talk begins in the clear, in that protocol."""

    name: str
    port: int
    starttls: StartTls = ""

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.name}:{self.port}"


@dataclass(frozen=True, slots=True)
class Served:
    """What one address serves: the leaf, then what it sends along, without a root, which no client looks at.

    `refusal` is why a careful client refuses it. `issuer` is the leaf's, a root as well, if it was sent.
    """

    chain: tuple[x509.Certificate, ...]
    refusal: str
    issuer: x509.Certificate | None = None

    @property
    def leaf(self) -> x509.Certificate:
        """The end's own certificate."""
        return self.chain[0]


@dataclass(frozen=True, slots=True)
class Looked:
    """What there is to know about an end: what each address served, or why not; or why there are no addresses."""

    answers: Mapping[str, Served | TdevError] = field(default_factory=dict)
    unresolved: str = ""

    @property
    def served(self) -> dict[str, Served]:
        """The addresses that serve one."""
        return {address: answer for address, answer in self.answers.items() if isinstance(answer, Served)}

    @property
    def dead(self) -> dict[str, TdevError]:
        """The addresses that serve none, by a fault of their own."""
        return {address: answer for address, answer in self.answers.items() if isinstance(answer, OF_THE_TARGET)}

    @property
    def unseen(self) -> dict[str, TdevError]:
        """The addresses that nobody could look at.

        A worker without IPv6 is no gap while the name's IPv4 addresses are looked at.
        """
        return {
            address: answer
            for address, answer in self.answers.items()
            if isinstance(answer, TdevError)
            and not isinstance(answer, OF_THE_TARGET)
            and not (isinstance(answer, SetupMissingError) and ":" in address and self.served)
        }


def look(system: SystemPorts, ends: Sequence[End]) -> dict[End, Looked]:
    """Look at every address of every end. One that hangs costs its time limit, and the others no more."""
    names = {end.name: _resolution(system, end.name) for end in ends}
    addresses = side_by_side(names, at_most=_AT_ONCE)
    probes = {
        (end, address): _probe(system, end, address)
        for end in ends
        if not isinstance(found := addresses[end.name], TdevError)
        for address in found
    }
    answers = side_by_side(probes, at_most=_AT_ONCE)
    looked = {}
    for end in ends:
        found = addresses[end.name]
        if isinstance(found, TdevError):
            looked[end] = Looked(unresolved=str(found))
        elif not found:
            looked[end] = Looked(unresolved="it has no address in DNS")
        else:
            looked[end] = Looked({address: answers[end, address] for address in found})
    return looked


def _resolution(system: SystemPorts, name: str) -> Callable[[], tuple[str, ...]]:
    def resolve() -> tuple[str, ...]:
        try:
            return (str(ipaddress.ip_address(name)),)
        except ValueError:
            return system.resolver.resolve(name)

    return resolve


def _probe(system: SystemPorts, end: End, address: str) -> Callable[[], Served]:
    def probe() -> Served:
        answer = system.tls.probe(end.name, address, end.port, starttls=end.starttls)
        try:
            leaf, *others = (x509.load_der_x509_certificate(one) for one in answer.chain)
        except ValueError:
            raise GarbledAnswerError(f"{end.title} served what is no X.509 certificate.") from None
        chain = (leaf, *(one for one in others if one.issuer != one.subject))
        issuer = next((one for one in others if one.subject == leaf.issuer), None)
        return Served(chain, answer.refusal, issuer)

    return probe
