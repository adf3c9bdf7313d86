"""What is wrong with a certificate: what its end serves, what its file holds, what its issuer says."""

from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509

from tdev_operators.core.certificates.check_names import name_of
from tdev_operators.core.certificates.ends import Looked
from tdev_operators.core.certificates.lifetime import Life
from tdev_operators.core.certificates.reading import covers, short, weakness
from tdev_operators.core.certificates.renewal import Renewed
from tdev_operators.core.certificates.revocation import Revocation
from tdev_operators.core.certificates.settings import ManagedCertificate
from tdev_operators.core.errors import InputError, TdevError
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict, worst

RENEWERS = {"acm": "ACM", "command": "a command on its host", "itself": "somebody else", "none": "nobody"}
_SENTENCES = 4


@dataclass(slots=True)
class Case:
    """One certificate: where it is served, what stands on disk, what was done."""

    entry: ManagedCertificate
    looked: Looked
    file: tuple[x509.Certificate, ...] | TdevError | None = None
    revocations: list[Revocation] = field(default_factory=list)
    done: Renewed | None = None
    failed: str = ""
    seconds: float = 0.0  # what looking, all at once, and renewing took
    sentences: list[tuple[Verdict, str]] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def on_disk(self) -> x509.Certificate | None:
        """The certificate in its file; None where there is no file, or it could not be read."""
        return self.file[0] if isinstance(self.file, tuple) else None

    def found(self, verdict: Verdict, sentence: str) -> None:
        """Keep a sentence; an OK one needs none."""
        if verdict is not Verdict.OK:
            self.sentences.append((verdict, sentence))


def result_of(case: Case, settings: Settings, now: datetime, would: str = "") -> CheckResult:
    """Return the result of one certificate. `would` is what a dry run would do."""
    entry, title, limits = case.entry, case.entry.title, settings.health.security
    facts = _judge_served(case, now, settings)
    facts += _judge_file(case, now, settings)
    for one in case.revocations:
        if one.revoked:
            case.found(Verdict.CRITICAL, f"{title} serves a certificate that was revoked on {one.revoked}.")
        elif one.unknown:
            case.skipped["its revocation"] = one.unknown
    if case.failed:
        case.found(Verdict.CRITICAL, f"It was not renewed: {case.failed}")
    measurements: tuple[Measurement, ...] = ()
    first = min(
        (one.leaf for one in case.looked.served.values()), key=lambda one: one.not_valid_after_utc, default=None
    )
    if first is not None:
        life = Life.of(first, now)
        measurements = life.measurements(title, limits)
        facts.insert(0, life.sentence(title))
    if case.done:
        facts.insert(0, case.done.sentence)
    if would:
        facts.insert(0, would)
    ordered = sorted(case.sentences, key=lambda one: -one[0].badness)
    told = [sentence for _, sentence in ordered[:_SENTENCES]]
    return CheckResult(
        name_of(title),
        worst([Verdict.OK, *(verdict for verdict, _ in case.sentences)]),
        " ".join([*([case.done.sentence] if case.done else []), *told] if told else facts[:2]),
        measurements=measurements,
        hint=_hint(entry),
        coverage=Coverage(seen=(title,) if case.looked.answers else (), skipped=case.skipped),
        details=tuple(facts),
    )


def _judge_served(case: Case, now: datetime, settings: Settings) -> list[str]:
    title, looked, limits = case.entry.title, case.looked, settings.health.security
    if looked.unresolved:
        case.skipped[title] = looked.unresolved
        return []
    for address, error in looked.dead.items():
        case.found(Verdict.CRITICAL, f"{title} serves no certificate at {address}: {error}")
    case.skipped |= {f"{title} at {address}": str(error) for address, error in looked.unseen.items()}
    served, facts = looked.served, []
    leaves = {one.leaf for one in served.values()}
    for refusal in sorted({one.refusal for one in served.values() if one.refusal}):
        case.found(Verdict.CRITICAL, f"The certificate of {title} is refused: {refusal.rstrip('.')}.")
    for certificate in dict.fromkeys(one for answer in served.values() for one in answer.chain):
        is_leaf = certificate in leaves
        whose = title if is_leaf else f"{title} (an intermediate)"
        life = Life.of(certificate, now)
        case.found(_life_verdict(case, life, settings) if is_leaf else life.verdict(limits), life.sentence(whose))
        if weak := weakness(certificate, settings.certificates):
            case.found(Verdict.CRITICAL, f"{whose} has {weak}.")
    if len(leaves) > 1:
        facts.append(f"Its {len(served)} addresses serve {len(leaves)} different certificates.")
    facts.append(f"It is renewed by {RENEWERS[case.entry.renewal]}.")
    if case.revocations and all(one.looked and not one.revoked for one in case.revocations):
        facts.append(f"It is not revoked ({case.revocations[0].looked}).")
    return facts


def _life_verdict(case: Case, life: Life, settings: Settings) -> Verdict:
    """Judge a leaf: one that nobody renews has to be seen to while there is more time left."""
    limits, rules = settings.health.security, settings.certificates
    verdict = life.verdict(limits)
    unattended = case.entry.renewal == "none" and life.is_short(limits)
    if verdict is Verdict.OK and unattended and life.percent_left < rules.unattended_left_percent:
        return Verdict.WARNING
    return verdict


def _judge_file(case: Case, now: datetime, settings: Settings) -> list[str]:
    entry = case.entry
    if not entry.file:
        return []
    place = f"{entry.file} on {entry.host}"
    if isinstance(case.file, InputError):
        case.found(Verdict.CRITICAL, str(case.file))
        return []
    on_disk = case.on_disk
    if on_disk is None:
        case.skipped[place] = str(case.file or f"{entry.host!r} is none of [[hosts]]")
        return []
    if not covers(on_disk, entry.name):
        case.found(Verdict.CRITICAL, f"The certificate in {place} is not for {entry.name}.")
    life = Life.of(on_disk, now)
    others = {address: one.leaf for address, one in case.looked.served.items() if one.leaf != on_disk}
    if not others:
        return [f"What is served is what stands in {place} (serial …{short(on_disk.serial_number)})."]
    address, leaf = next(iter(others.items()))
    due = any(Life.of(one, now).is_due(settings.health.security) for one in others.values())
    newer = on_disk.not_valid_after_utc > leaf.not_valid_after_utc
    what = "has a newer one, which nobody serves" if newer else "has another one"
    case.found(
        Verdict.CRITICAL if due else Verdict.WARNING,
        f"{address} serves serial …{short(leaf.serial_number)}, and {place} {what} (…{short(on_disk.serial_number)}): "
        "reload what serves it.",
    )
    return [life.sentence(place)]


def _hint(entry: ManagedCertificate) -> str:
    match entry.renewal:
        case "command" | "acm":
            return f"Renew it by hand: start `tdev_renew_certificate` with {entry.name}; its log says what went wrong."
        case "itself":
            return f"See why what renews {entry.name} by itself does not; the former certificate is served until then."
        case _:
            return (
                f"Renew {entry.name} and reload what serves it, or say in [[certificates.managed]] how it is renewed: "
                "see docs/certificates.md."
            )
