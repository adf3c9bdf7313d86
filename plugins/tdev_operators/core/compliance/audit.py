"""The audit: every control of the profile evaluated, recorded, rendered (guide: Compliance audit)."""

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tdev_operators import __version__
from tdev_operators.core.compliance.check_names import RECORD, name_of
from tdev_operators.core.compliance.ground import Evaluation, Ground, Proof
from tdev_operators.core.compliance.profile import Control, Profile, read_profile
from tdev_operators.core.compliance.record import SEALED, ComplianceChain, ComplianceRecord
from tdev_operators.core.compliance.rendering import render
from tdev_operators.core.compliance.rules import all_rules
from tdev_operators.core.errors import ProofFailedError, SettingsError, sentence_of
from tdev_operators.core.settings import Settings, settings_path
from tdev_operators.core.sql import include_dir
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, OutOfScope, Verdict

_VERDICTS = {"PASS": Verdict.OK, "FAIL": Verdict.CRITICAL, "UNKNOWN": Verdict.UNKNOWN}
_log = logging.getLogger(__name__)
_SENTENCES = 3


@dataclass(frozen=True, slots=True)
class Assessment:
    """How an audit ended: its results, what was switched off, and where the report stands."""

    results: tuple[CheckResult, ...]
    out_of_scope: tuple[OutOfScope, ...]
    report: str


def audit(ground: Ground, run_id: str, note: Callable[[str, Mapping[str, Any]], None]) -> Assessment:
    """Evaluate every control, seal the record, and put the report beside it. The same run again says nothing twice.

    Raises:
        SettingsError: the profile is wrong. TransientError: the store is away.
    """
    path = profile_path(ground.settings)
    profile = read_profile(path)
    _refuse_unknown_rules(profile, path)
    off = switched_off(profile, ground.settings)
    controls = [control for control in profile.controls if name_of(control.id) not in {one.check for one in off}]
    found = [(control, _evaluated(control, ground)) for control in controls]
    record = _record(profile, path, ground, run_id, found, off)
    chain = ComplianceChain(ground.store, ground.settings.buckets.backups, ground.settings.system.name)
    sealed, place = _sealed(chain, record, ground, note)
    return Assessment((*(_result(*one, place) for one in found), sealed), off, place)


def profile_path(settings: Settings) -> Path:
    """Return where the profile stands: beside the settings, or the shipped one."""
    named = settings.compliance.profile
    return settings_path().parent / named if named else include_dir() / "compliance.toml"


def switched_off(profile: Profile, settings: Settings) -> tuple[OutOfScope, ...]:
    """Return the controls that `[[out_of_scope]]` declares not applicable."""
    ids = {name_of(control.id) for control in profile.controls}
    return tuple(
        OutOfScope(entry.check, entry.reason, entry.owner) for entry in settings.out_of_scope if entry.check in ids
    )


def _refuse_unknown_rules(profile: Profile, path: Path) -> None:
    for control in profile.controls:
        if control.rule not in all_rules():
            raise SettingsError(
                f"{path}: the control {control.id} has the rule {control.rule!r}; write one of "
                f"{', '.join(all_rules())}."
            )


def _evaluated(control: Control, ground: Ground) -> Evaluation:
    try:
        return all_rules()[control.rule].evaluate(control, ground)
    except Exception as error:  # noqa: BLE001  the boundary: one control that cannot be looked at hides no other
        return Evaluation(unknown=[Proof(sentence_of(error, control.id, _log))])


def _record(
    profile: Profile,
    path: Path,
    ground: Ground,
    run_id: str,
    found: list[tuple[Control, Evaluation]],
    off: tuple[OutOfScope, ...],
) -> ComplianceRecord:
    outcomes = [evaluation.outcome for _, evaluation in found]
    return ComplianceRecord(
        number=0,
        previous_sha256="",
        system=ground.settings.system.name,
        profile=profile.name,
        profile_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        run_id=run_id,
        audited_at=ground.at,
        outcome=next((one for one in ("FAIL", "UNKNOWN") if one in outcomes), "PASS" if outcomes else "UNKNOWN"),
        controls=tuple(_facts(control, evaluation) for control, evaluation in found),
        not_applicable=tuple({"control": one.check, "reason": one.reason, "owner": one.owner} for one in off),
        product_version=__version__,
    )


def _facts(control: Control, evaluation: Evaluation) -> dict[str, Any]:
    return {
        "id": control.id,
        "title": control.title,
        "outcome": evaluation.outcome,
        "maps": {framework: list(names) for framework, names in control.maps.items()},
        "failed": [one.to_json() for one in evaluation.failed],
        "unknown": [one.to_json() for one in evaluation.unknown],
        "passed": [one.to_json() for one in evaluation.passed],
    }


def _sealed(
    chain: ComplianceChain,
    record: ComplianceRecord,
    ground: Ground,
    note: Callable[[str, Mapping[str, Any]], None],
) -> tuple[CheckResult, str]:
    """Seal the record and put the report for people beside it; return the result about both, and the report's place."""
    bucket = ground.settings.buckets.backups
    try:
        sealed = chain.append(record)
    except ProofFailedError as error:
        hint = f"Compare with the digests in the ledger (event {SEALED}): somebody who may write there has changed it."
        coverage = Coverage(seen=(chain.folder,))
        return CheckResult(RECORD, Verdict.CRITICAL, str(error), hint=hint, coverage=coverage), ""
    number = sealed.evidence.number
    if ground.records.digests(SEALED).get(number) != sealed.sha256:
        facts = {"number": number, "sha256": sealed.sha256, "previous_sha256": sealed.evidence.previous_sha256}
        note(SEALED, facts)
    place = f"{chain.reports}{number:06d}.html"
    ground.store.put(bucket, place, render(sealed.evidence, sealed.sha256).encode())
    counts = {word: sum(one["outcome"] == word for one in sealed.evidence.controls) for word in _VERDICTS}
    told = ", ".join(f"{count} {word}" for word, count in counts.items())
    result = CheckResult(
        RECORD,
        Verdict.OK,
        f"{told}. Record {number} is {chain.key_of(number)}, sha256 {sealed.sha256}; to print: s3://{bucket}/{place}.",
        measurements=tuple(Measurement(f"controls, {word}", count) for word, count in counts.items()),
        coverage=Coverage(seen=(chain.key_of(number), place)),
    )
    return result, place


def _result(control: Control, evaluation: Evaluation, place: str) -> CheckResult:
    verdict = _VERDICTS[evaluation.outcome]
    shown = {"FAIL": evaluation.failed, "UNKNOWN": evaluation.unknown}.get(evaluation.outcome, evaluation.passed)
    told = " ".join(one.sentence for one in shown[:_SENTENCES]) or "Nothing was looked at."
    more = f" And {len(shown) - _SENTENCES} more." if len(shown) > _SENTENCES else ""
    names = "; ".join(f"{framework}: {', '.join(listed)}" for framework, listed in control.maps.items())
    lines = [
        f"{word}: {one.sentence}{f' [report {one.report_id}]' if one.report_id else ''}"
        for word, proofs in (("FAIL", evaluation.failed), ("UNKNOWN", evaluation.unknown), ("PASS", evaluation.passed))
        for one in proofs
    ]
    return CheckResult(
        name_of(control.id),
        verdict,
        f"{control.title}: {evaluation.outcome}. {told}{more}",
        hint=f"See {place} in the backups bucket. {names}".strip() if verdict.is_red else "",
        coverage=Coverage(seen=(control.id,)),
        details=tuple(([names] if names else []) + lines),
    )
