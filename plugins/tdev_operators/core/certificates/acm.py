"""Certificates in AWS Certificate Manager: which it renews, which it never will, and asking it to."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from tdev_operators.core.certificates.ends import End, look
from tdev_operators.core.certificates.lifetime import Life
from tdev_operators.core.certificates.ports import AcmCertificate, CertificatePorts
from tdev_operators.core.certificates.reading import short
from tdev_operators.core.certificates.renewal import Renewed
from tdev_operators.core.certificates.settings import CertificateSettings, ManagedCertificate
from tdev_operators.core.errors import ProofFailedError, TdevError
from tdev_operators.core.health.findings import some
from tdev_operators.core.health.settings import SecurityHealth
from tdev_operators.core.reporting.wording import counted
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict, worst

CHECK = "certificate.acm"
_POLL_SECONDS = 5.0


def renew_by_acm(
    ports: CertificatePorts,
    rules: CertificateSettings,
    entry: ManagedCertificate,
    *,
    note: Callable[[str, Mapping[str, Any]], None],
    check: Callable[[], None],
) -> Renewed:
    """Ask ACM to renew a certificate that can be exported, and wait until another serial number is served.

    What a load balancer or distribution uses ACM renews by itself, and takes no request for it (AWS:
    RenewCertificate); when that is due, it has failed, and this says so.

    Raises:
        ProofFailedError: ACM does not renew it, or the former one is still served; the former one is kept.
        TdevError: ACM cannot be asked.
    """
    before = ports.acm.find(entry.arn)
    if before.imported:
        raise ProofFailedError(
            f"The certificate of {entry.title} was imported into ACM, which never renews such a one: get a new one "
            "where it came from, and import it under the same ARN."
        )
    if not before.exportable:
        raise ProofFailedError(
            f"ACM renews the certificate of {entry.title} by itself and has not done so (its word: "
            f"{before.renewal or before.status}): look at its validation, whose DNS record may be gone, and whether "
            "anything uses it."
        )
    if not before.eligible:
        raise ProofFailedError(f"ACM does not renew the certificate of {entry.title} now (status {before.status}).")
    end = End(entry.name, entry.port, entry.starttls)
    served_before = {one.leaf.serial_number for one in look(ports.system, [end])[end].served.values()}
    note("certificate_renewal", {"certificate": entry.title, "arn": entry.arn, "way_back": "none: ACM keeps one"})
    ports.acm.renew(entry.arn)
    deadline = time.monotonic() + rules.renew_seconds
    while True:
        found = ports.acm.find(entry.arn)
        serials = {one.leaf.serial_number for one in look(ports.system, [end])[end].served.values()}
        if len(serials) == 1 and not serials & served_before:
            return Renewed(before.serial, serials.pop())
        if time.monotonic() >= deadline:
            break
        check()
        time.sleep(min(_POLL_SECONDS, rules.renew_seconds / 10))
    if found.serial != before.serial:
        raise ProofFailedError(
            f"ACM has renewed {entry.title} (serial …{short(found.serial)}), and the former certificate is served: "
            "export the new one and install it where it is served."
        )
    raise ProofFailedError(
        f"ACM was asked to renew {entry.title} (its word: {found.renewal or found.status}), and after "
        f"{rules.renew_seconds:g} s there is no new one; see the renewal status of {entry.arn}."
    )


def account_result(ports: CertificatePorts, limits: SecurityHealth) -> CheckResult:
    """Return a result about all certificates of the account: what ends soon, and what nobody renews."""
    try:
        found = list(ports.acm.all())
    except TdevError as error:
        return CheckResult(CHECK, Verdict.UNKNOWN, str(error), coverage=Coverage(skipped={"ACM": "unread"}))
    now, verdicts, lines = ports.system.clock(), [Verdict.OK], []
    for one in found:
        verdict, sentence = _judged(one, Life(one.begins, one.ends, now) if one.begins and one.ends else None, limits)
        verdicts.append(verdict)
        lines.append((verdict, f"{verdict}: {sentence}"))
    bad = [line for verdict, line in lines if verdict is not Verdict.OK]
    imported = sum(one.imported for one in found)
    return CheckResult(
        CHECK,
        worst(verdicts),
        " ".join(bad[:4]) or f"{counted(len(found), 'certificate')} in ACM, {imported} of them imported.",
        measurements=(Measurement("in ACM", len(found)), Measurement("imported", imported)),
        hint="An imported certificate is imported again by hand. For another one, see its validation in ACM.",
        coverage=Coverage(seen=(f"ACM ({counted(len(found), 'certificate')})",)),
        details=tuple(line for _, line in lines),
    )


def _judged(one: AcmCertificate, life: Life | None, limits: SecurityHealth) -> tuple[Verdict, str]:
    unused = "" if one.in_use or one.exportable else ", in use by nobody"
    whose = f"{some(list(one.names))} ({one.arn.rpartition('/')[2]}{unused})"
    if life is None:
        pending = one.status == "PENDING_VALIDATION"
        return Verdict.WARNING if pending and one.in_use else Verdict.OK, f"{whose} is {one.status.lower()}"
    verdict = life.verdict(limits)
    sentence = life.sentence(whose)
    if not one.in_use and not one.exportable:
        return Verdict.OK, sentence
    if one.status not in {"ISSUED", "EXPIRED"}:
        return Verdict.CRITICAL, f"{whose} is {one.status.lower().replace('_', ' ')}."
    if one.imported and verdict is not Verdict.OK:
        sentence += " It was imported, and ACM never renews such a one: import a new one."
    return verdict, sentence
