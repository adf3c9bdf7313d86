"""Certificates, looked at and renewed in time: served = on disk = what is managed (guide: Certificate Management)."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from cryptography import x509

from tdev_operators.core.certificates.acm import CHECK as ACM
from tdev_operators.core.certificates.acm import account_result, renew_by_acm
from tdev_operators.core.certificates.check_names import name_of
from tdev_operators.core.certificates.ends import End, look
from tdev_operators.core.certificates.judging import RENEWERS, Case, result_of
from tdev_operators.core.certificates.lifetime import Life
from tdev_operators.core.certificates.ports import CertificatePorts
from tdev_operators.core.certificates.reading import read_file
from tdev_operators.core.certificates.renewal import Renewal
from tdev_operators.core.certificates.revocation import Revocation, Revocations
from tdev_operators.core.certificates.settings import ManagedCertificate
from tdev_operators.core.errors import InputError, sentence_of
from tdev_operators.core.health.side_by_side import side_by_side
from tdev_operators.core.reporting.wording import counted
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Coverage, Verdict

_AT_ONCE = 16
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run shall do: everything that is due, or one certificate by its name; `forced`: due or not."""

    only: str = ""
    forced: bool = False
    dry_run: bool = False


def manage(
    ports: CertificatePorts,
    settings: Settings,
    wanted: Wanted = Wanted(),
    *,
    switched_off: frozenset[str] = frozenset(),
    note: Callable[[str, Mapping[str, Any]], None],
    progress: Callable[[str], object] = lambda _: None,
    check: Callable[[], None] = lambda: None,
) -> tuple[CheckResult, ...]:
    """Look at every certificate, renew those that are due, look again, and judge. One result a certificate.

    A renewal that fails is CRITICAL and keeps the former certificate; the others go on.

    Raises:
        InputError: `wanted.only` is none of the settings'. BusyError: see `check`.
    """
    entries = [one for one in _entries(settings) if name_of(one.title) not in switched_off]
    if wanted.only:
        entries = [one for one in entries if wanted.only in (one.name, one.title)]
        if not entries:
            names = ", ".join(one.title for one in _entries(settings))
            raise InputError(f"{wanted.only!r} is no certificate of the settings; choose one of {names}.")
    cases = _looked_at(ports, settings, entries)
    progress(f"{counted(len(cases), 'end')} looked at")
    until = time.monotonic() + settings.certificates.minutes * 60
    for case in sorted(cases, key=_ends):
        began = time.monotonic()
        _renewed(case, ports, settings, wanted, note, progress, check, in_time=until - began)
        case.seconds += time.monotonic() - began
        check()
    again = [case for case in cases if case.done or case.failed]
    for case, fresh in zip(again, _looked_at(ports, settings, [case.entry for case in again]), strict=True):
        case.looked, case.file = fresh.looked, fresh.file
    if settings.certificates.revocation:
        _ask_for_revocations(cases, ports, settings)
    results = [_told(case, ports, settings, wanted) for case in cases]
    if settings.certificates.acm and not wanted.only and ACM not in switched_off:
        results.append(account_result(ports, settings.health.security))
    return tuple(results)


def _ends(case: Case) -> datetime:
    """Return when the first of a certificate's ends: the one that ends first is renewed first."""
    ends = [one.leaf.not_valid_after_utc for one in case.looked.served.values()]
    return min(ends, default=datetime.max.replace(tzinfo=UTC))


def _told(case: Case, ports: CertificatePorts, settings: Settings, wanted: Wanted) -> CheckResult:
    try:
        result = result_of(case, settings, ports.system.clock(), _would(case, ports, settings, wanted))
        return result.timed(case.seconds)
    except Exception as error:  # noqa: BLE001  the boundary: an odd certificate hides no other
        why = sentence_of(error, case.entry.title, _log)
        return CheckResult(name_of(case.entry.title), Verdict.UNKNOWN, why, coverage=Coverage(skipped={"it": why}))


def _entries(settings: Settings) -> list[ManagedCertificate]:
    """Return what is managed, and the public names that are not: those are looked at as nobody's."""
    managed = settings.certificates.managed
    known = {entry.title.lower() for entry in managed}
    others = [
        ManagedCertificate(name=one.name, port=one.port, renewal="none")
        for one in settings.public_names
        if one.title.lower() not in known
    ]
    return [*managed, *others]


def _end_of(entry: ManagedCertificate) -> End:
    return End(entry.name, entry.port, entry.starttls)


def _looked_at(ports: CertificatePorts, settings: Settings, entries: list[ManagedCertificate]) -> list[Case]:
    began = time.monotonic()
    looked = look(ports.system, [_end_of(entry) for entry in entries])
    files = side_by_side(
        {
            entry: partial(_file_of, ports, settings, entry)
            for entry in entries
            if entry.file and entry.host in ports.system.hosts
        },
        at_most=_AT_ONCE,
    )
    taken = time.monotonic() - began
    return [Case(entry, looked[_end_of(entry)], files.get(entry), seconds=taken) for entry in entries]


def _file_of(ports: CertificatePorts, settings: Settings, entry: ManagedCertificate) -> tuple[x509.Certificate, ...]:
    return read_file(ports.system.hosts[entry.host], settings.certificates, entry.file)


def _renewed(
    case: Case,
    ports: CertificatePorts,
    settings: Settings,
    wanted: Wanted,
    note: Callable[[str, Mapping[str, Any]], None],
    progress: Callable[[str], object],
    check: Callable[[], None],
    *,
    in_time: float,
) -> None:
    entry = case.entry
    if entry.renewal not in {"acm", "command"}:
        if wanted.forced:
            raise InputError(
                f"{entry.title} is renewed by {RENEWERS[entry.renewal]}; give it renewal = 'command' or 'acm' in "
                "certificates.managed."
            )
        return
    if wanted.dry_run:
        return
    due = _is_due(case, ports, settings, wanted)
    if in_time <= 0 and due:
        case.failed = "others took the time of this run; it is one of the first tomorrow, or start it by hand."
        return
    try:
        if entry.renewal == "acm":
            if due:
                case.done = renew_by_acm(ports, settings.certificates, entry, note=note, check=check)
            return
        renewal = Renewal(ports, settings, entry, forced=wanted.forced, note=note, progress=progress, check=check)
        if due or renewal.is_half_done:
            case.done = renewal.carry_out()
    except Exception as error:  # noqa: BLE001  the boundary: one that cannot be renewed holds up no other
        check()  # a lost lease is no fault of the certificate
        case.failed = sentence_of(error, entry.title, _log)


def _is_due(case: Case, ports: CertificatePorts, settings: Settings, wanted: Wanted) -> bool:
    if wanted.forced:
        return True
    leaves = [one.leaf for one in case.looked.served.values()] + ([case.on_disk] if case.on_disk else [])
    now, limits = ports.system.clock(), settings.health.security
    is_due = any(Life.of(one, now).is_due(limits) for one in leaves)
    return is_due or _is_unserved(case, now, settings)


def _is_unserved(case: Case, now: datetime, settings: Settings) -> bool:
    """Whether the file holds a newer one than what is served, so that a reload is all that is missing."""
    on_disk = case.on_disk
    if on_disk is None or case.entry.renewal != "command":
        return False
    if Life.of(on_disk, now).is_due(settings.health.security):
        return False
    return any(one.leaf.not_valid_after_utc < on_disk.not_valid_after_utc for one in case.looked.served.values())


def _ask_for_revocations(cases: list[Case], ports: CertificatePorts, settings: Settings) -> None:
    """Ask about every certificate that some address serves and a careful client takes."""
    asking = Revocations(ports.web, ports.system.clock(), int(settings.certificates.revocation_mb * 1024 * 1024))
    leaves = {one.leaf: one.issuer for case in cases for one in case.looked.served.values() if not one.refusal}
    answers = side_by_side(
        {leaf: partial(asking.of, leaf, issuer) for leaf, issuer in leaves.items()}, at_most=_AT_ONCE
    )
    for case in cases:
        served = {one.leaf for one in case.looked.served.values()}
        case.revocations = [
            found for leaf, found in answers.items() if leaf in served and isinstance(found, Revocation)
        ]


def _would(case: Case, ports: CertificatePorts, settings: Settings, wanted: Wanted) -> str:
    """Say what would be done; nothing where it is done."""
    entry = case.entry
    if not wanted.dry_run:
        return ""
    if not _is_due(case, ports, settings, wanted):
        return f"{entry.title} is not due: nothing would be done."
    if entry.renewal == "acm":
        return f"ACM would be asked to renew {entry.arn}."
    if entry.renewal != "command":
        return f"{entry.title} is due, and {RENEWERS[entry.renewal]} renews it."
    return f"On {entry.host} would be run: {' '.join(entry.renew)}; then {' '.join(entry.reload)}."
