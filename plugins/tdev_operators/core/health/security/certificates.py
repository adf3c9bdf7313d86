"""The certificates that the public names serve: chain, host name, lifetime left."""

from collections.abc import Mapping

from cryptography import x509

from tdev_operators.core.certificates.ends import End, Looked, Served, look
from tdev_operators.core.certificates.lifetime import Life
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("dns", "tls")
HINT = (
    "Renew it, reload the server, and look at what is served: "
    "`openssl s_client -connect <address>:443 -servername <name>`."
)


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """CRITICAL when a name's certificate does not hold or ends soon, WARNING when its renewal is due.

    Every address of a name is looked at, and every certificate that it sends. Long-lived ones are judged by days,
    short-lived ones by the fraction of their lifetime that is left.
    """
    findings = Findings(__name__)
    looked = look(system, [End(entry.name, entry.port) for entry in settings.public_names])
    for end, found in looked.items():
        if found.unresolved:
            findings.skip(end.title, found.unresolved)
    because_of = "infrastructure.dns" if findings.skipped else ""
    sentences = []
    for end, found in looked.items():
        served = _served(end.title, found, findings)
        if served:
            findings.saw(end.title)
            sentences.append(_judge(end.title, served, system, settings, findings))
    return findings.conclude(" ".join(sentences), because_of=because_of)


def _served(end: str, looked: Looked, findings: Findings) -> dict[str, Served]:
    """Return what the addresses of an end serve, and note those that serve nothing."""
    for answer in looked.dead.values():
        findings.saw(end)
        findings.found(Verdict.CRITICAL, f"{end} serves no certificate: {answer}")
    for address, answer in looked.unseen.items():
        findings.skip(f"{end} at {address}", str(answer))
    return looked.served


def _judge(end: str, served: Mapping[str, Served], system: SystemPorts, settings: Settings, findings: Findings) -> str:
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
    leaves, limits = {one.leaf for one in served.values()}, settings.health.security
    sentences = []
    for certificate in sorted(certificates, key=lambda one: one.not_valid_after_utc):
        kind = "" if certificate in leaves else " (an intermediate)"
        life = Life.of(certificate, system.clock())
        sentence = life.sentence(at(certificates[certificate]) + kind)
        sentences.append(sentence)
        findings.found(life.verdict(limits), sentence)
        if len(sentences) == 1:
            findings.measured(*life.measurements(end, limits))
    return sentences[0]
