"""The certificates that the public names serve: chain, host name, lifetime left."""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from tdev_operators.core.errors import GarbledAnswerError, SetupMissingError, TdevError
from tdev_operators.core.health.findings import OF_THE_TARGET, Findings, judge
from tdev_operators.core.health.settings import SecurityHealth
from tdev_operators.core.health.side_by_side import side_by_side
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import PublicName, Settings
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("dns", "tls")
HINT = (
    "Renew it, reload the server, and look at what is served: "
    "`openssl s_client -connect <address>:443 -servername <name>`."
)

_DAY = 86_400.0
_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class _Served:
    """What one address serves: the leaf, then what it sends along, without a root, which no client looks at."""

    chain: tuple[x509.Certificate, ...]
    refusal: str


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """CRITICAL when a name's certificate does not hold or ends soon, WARNING when its renewal is due.

    Every address of a name is looked at, and every certificate that it sends. Long-lived ones are judged by days,
    short-lived ones by the fraction of their lifetime that is left.
    """
    findings = Findings(__name__)
    names = {entry.name: _resolution(system, entry.name) for entry in settings.public_names}
    addresses = side_by_side(names, at_most=_AT_ONCE)
    found: dict[PublicName, tuple[str, ...]] = {}
    for entry in settings.public_names:
        answer = addresses[entry.name]
        if isinstance(answer, TdevError):
            findings.skip(f"{entry.name}:{entry.port}", str(answer))
        elif not answer:
            findings.skip(f"{entry.name}:{entry.port}", "it has no address in DNS")
        else:
            found[entry] = answer
    because_of = "infrastructure.dns" if findings.skipped else ""
    probes = {(entry, address): _probe(system, entry, address) for entry, all_ in found.items() for address in all_}
    answers = side_by_side(probes, at_most=_AT_ONCE)
    sentences = []
    for entry, all_ in found.items():
        end = f"{entry.name}:{entry.port}"
        served = _looked_at(end, {address: answers[entry, address] for address in all_}, findings)
        if served:
            findings.saw(end)
            sentences.append(_judge(end, served, system, settings, findings))
    return findings.conclude(" ".join(sentences), because_of=because_of)


def _resolution(system: SystemPorts, name: str) -> Callable[[], tuple[str, ...]]:
    def resolve() -> tuple[str, ...]:
        try:
            return (str(ipaddress.ip_address(name)),)
        except ValueError:
            return system.resolver.resolve(name)

    return resolve


def _probe(system: SystemPorts, entry: PublicName, address: str) -> Callable[[], _Served]:
    def probe() -> _Served:
        answer = system.tls.probe(entry.name, address, entry.port)
        try:
            leaf, *others = (x509.load_der_x509_certificate(one) for one in answer.chain)
        except ValueError:
            raise GarbledAnswerError(f"{entry.name}:{entry.port} served what is no X.509 certificate.") from None
        return _Served((leaf, *(one for one in others if one.issuer != one.subject)), answer.refusal)

    return probe


def _looked_at(end: str, answers: Mapping[str, _Served | TdevError], findings: Findings) -> dict[str, _Served]:
    """Return what the addresses of an end serve, and note those that serve nothing."""
    served = {address: answer for address, answer in answers.items() if isinstance(answer, _Served)}
    for address, answer in answers.items():
        if isinstance(answer, OF_THE_TARGET):
            findings.saw(end)
            findings.found(Verdict.CRITICAL, f"{end} serves no certificate: {answer}")
        # A worker without IPv6 is no gap while the name's IPv4 addresses are looked at.
        elif isinstance(answer, SetupMissingError) and ":" in address and served:
            continue
        elif isinstance(answer, TdevError):
            findings.skip(f"{end} at {address}", str(answer))
    return served


def _judge(end: str, served: Mapping[str, _Served], system: SystemPorts, settings: Settings, findings: Findings) -> str:
    """Note what is wrong with the certificates of an end, and return a sentence about the one that ends first."""
    certificates: dict[x509.Certificate, list[str]] = {}
    refusals: dict[str, list[str]] = {}
    for address, one in served.items():
        for certificate in one.chain:
            certificates.setdefault(certificate, []).append(address)
        if one.refusal:
            refusals.setdefault(one.refusal, []).append(address)

    def at(addresses: list[str]) -> str:
        return end if len(set(addresses)) == len(served) else f"{end} at {', '.join(addresses)}"

    for refusal, addresses in refusals.items():
        findings.found(Verdict.CRITICAL, f"The certificate of {at(addresses)} is refused: {refusal.rstrip('.')}.")
    leaves = {one.chain[0] for one in served.values()}
    sentences = []
    for certificate in sorted(certificates, key=lambda one: one.not_valid_after_utc):
        kind = "" if certificate in leaves else " (an intermediate)"
        life = _Life(certificate, system.clock())
        verdict = life.verdict(settings.health.security)
        sentence = life.sentence(at(certificates[certificate]) + kind)
        sentences.append(sentence)
        findings.found(verdict, sentence)
        if len(sentences) == 1:
            life.measure(end, settings.health.security, findings)
    return sentences[0]


@dataclass(frozen=True, slots=True)
class _Life:
    """How much of a certificate's life is left at a moment."""

    certificate: x509.Certificate
    now: datetime

    @property
    def days(self) -> float:
        begins, ends = self.certificate.not_valid_before_utc, self.certificate.not_valid_after_utc
        return max((ends - begins).total_seconds(), 1.0) / _DAY

    @property
    def days_left(self) -> float:
        return (self.certificate.not_valid_after_utc - self.now).total_seconds() / _DAY

    @property
    def percent_left(self) -> float:
        return 100 * self.days_left / self.days

    @property
    def begun(self) -> bool:
        return self.certificate.not_valid_before_utc <= self.now

    def verdict(self, limits: SecurityHealth) -> Verdict:
        if self.days_left <= 0 or not self.begun:
            return Verdict.CRITICAL
        if self.days < limits.short_lived_below_days:
            return judge(self.percent_left, limits.short_lived_left_percent)
        return judge(self.days_left, limits.certificate_days)

    def sentence(self, whose: str) -> str:
        ends = self.certificate.not_valid_after_utc
        if self.days_left <= 0:
            return f"The certificate of {whose} expired {-self.days_left:.1f} days ago ({ends:%Y-%m-%d})."
        if not self.begun:
            begins = self.certificate.not_valid_before_utc
            return f"The certificate of {whose} is not valid before {begins:%Y-%m-%d %H:%M} UTC."
        return (
            f"{whose} has {self.days_left:.0f} of {self.days:.0f} days left ({self.percent_left:.0f} %), "
            f"until {ends:%Y-%m-%d}."
        )

    def measure(self, end: str, limits: SecurityHealth, findings: Findings) -> None:
        short = self.days < limits.short_lived_below_days
        findings.measure(
            f"{end} lifetime left", round(self.days_left, 2), "days", None if short else limits.certificate_days
        )
        findings.measure(
            f"{end} fraction left", round(self.percent_left, 2), "%", limits.short_lived_left_percent if short else None
        )
