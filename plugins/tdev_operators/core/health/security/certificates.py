"""The certificates that the public names serve: chain, host name, lifetime left."""

from collections.abc import Callable

from cryptography import x509

from tdev_operators.core.errors import GarbledAnswerError, TdevError
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.side_by_side import side_by_side
from tdev_operators.core.ports import ServedCertificate, SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("tls",)
HINT = (
    "Renew it, reload the server, and look at what is served: "
    "`openssl s_client -connect <name>:443 -servername <name>`."
)

_DAY = 86_400.0


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """CRITICAL when a name's certificate does not hold or ends soon, WARNING when its renewal is due.

    Long-lived certificates are judged by days, short-lived ones by the fraction of their lifetime that is left.
    """
    findings = Findings(__name__)

    def probe(name: str, port: int) -> Callable[[], tuple[ServedCertificate, x509.Certificate]]:
        return lambda: _probe(system, name, port)

    ends = {f"{entry.name}:{entry.port}": probe(entry.name, entry.port) for entry in settings.public_names}
    sentences = []
    for end, answer in side_by_side(ends, at_most=16).items():
        if isinstance(answer, TdevError):
            findings.saw(end)
            findings.found(Verdict.CRITICAL, f"{end} serves no certificate: {answer}")
            continue
        findings.saw(end)
        served, leaf = answer
        sentences.append(_judge_leaf(end, leaf, system, settings, findings))
        if served.refusal:
            findings.found(Verdict.CRITICAL, f"The certificate of {end} is refused: {served.refusal.rstrip('.')}.")
    return findings.conclude(" ".join(sentences))


def _probe(system: SystemPorts, name: str, port: int) -> tuple[ServedCertificate, x509.Certificate]:
    served = system.tls.probe(name, port)
    try:
        return served, x509.load_der_x509_certificate(served.chain[0])
    except (IndexError, ValueError):
        raise GarbledAnswerError(f"{name}:{port} served something that is no X.509 certificate.") from None


def _judge_leaf(end: str, leaf: x509.Certificate, system: SystemPorts, settings: Settings, findings: Findings) -> str:
    limits = settings.health.security
    now = system.clock()
    begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    lifetime = max((ends - begins).total_seconds(), 1.0)
    left = (ends - now).total_seconds()
    share = 100 * left / lifetime
    sentence = f"{end} has {left / _DAY:.0f} of {lifetime / _DAY:.0f} days left ({share:.0f} %), until {ends:%Y-%m-%d}."
    short = lifetime < limits.short_lived_below_days * _DAY
    by_days = findings.measure(
        f"{end} lifetime left", round(left / _DAY, 2), "days", None if short else limits.certificate_days
    )
    by_share = findings.measure(
        f"{end} fraction left", round(share, 2), "%", limits.short_lived_left_percent if short else None
    )
    if left <= 0:
        findings.found(
            Verdict.CRITICAL, f"The certificate of {end} expired {-left / _DAY:.1f} days ago ({ends:%Y-%m-%d})."
        )
    elif begins > now:
        findings.found(Verdict.CRITICAL, f"The certificate of {end} is not valid before {begins:%Y-%m-%d %H:%M} UTC.")
    else:
        findings.found(by_share if short else by_days, sentence)
    return sentence
