"""What verification has to say, as results of a report."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from tdev_operators.core.backup.manifest import Manifest, State
from tdev_operators.core.backup.proof.prove import ProofReport
from tdev_operators.core.backup.retention import RetentionPlan
from tdev_operators.core.backup.set_records import SetOnDisk
from tdev_operators.core.backup.settings import BackupSettings
from tdev_operators.core.backup.sweep import SweepReport
from tdev_operators.core.errors import InputError
from tdev_operators.core.reporting.wording import counted, moment, span
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict

_TONIGHT = "backup.tonight"
_PROOF_HINT = (
    "Take another set and verify it; when it fails again, restore by hand what the sentence names and compare."
)
_TONIGHT_HINT = "Read the report of the item backup; start backup and backup_verification by hand when it is mended."
_NAMED = 4


def tonight_result(
    sets: Sequence[SetOnDisk], newest: SetOnDisk | None, now: datetime, settings: BackupSettings
) -> CheckResult:
    """Say whether tonight's set is there: `newest` is the newest complete one of `sets`.

    One that was begun later and is not complete runs or failed: an older one never stands in for it.
    """
    if newest is None or newest.manifest is None:
        return _missing("There is no complete back-up at all.", Coverage(seen=("backups",)))
    coverage = Coverage(seen=(newest.set_id,))
    completed = newest.manifest.completed_at
    hours = (now - completed) / timedelta(hours=1)
    measured = (Measurement("age of the newest set", round(hours, 2), "h", None, settings.expected_hours),)
    begun = next((one for one in sets if one.state is State.STAGED and one.sequence > newest.sequence), None)
    if begun or hours > settings.expected_hours:
        instead = f"Set {begun.set_id} was begun and is not complete." if begun else "None was begun since."
        return _missing(
            f"Tonight's back-up is missing: the newest complete set, {newest.set_id}, was completed at "
            f"{moment(completed)}, {span(hours * 3600)} ago. {instead}",
            coverage,
            measured,
        )
    remarks = " ".join(newest.remarks)
    summary = f"Set {newest.set_id} was completed {span(hours * 3600)} ago. {remarks}".strip()
    return CheckResult(_TONIGHT, Verdict.WARNING if remarks else Verdict.OK, summary, measured, coverage=coverage)


def still_running(who: str) -> CheckResult:
    """Say that a back-up holds the lease at the time when tonight's set should be verified; `who` is that sentence."""
    return _missing(f"Tonight's back-up is not complete: {who}", Coverage(seen=("backups",)))


def _missing(summary: str, coverage: Coverage, measured: tuple[Measurement, ...] = ()) -> CheckResult:
    return CheckResult(_TONIGHT, Verdict.CRITICAL, summary, measured, _TONIGHT_HINT, coverage)


def proof_result(newest: SetOnDisk, report: ProofReport) -> CheckResult:
    """Say whether what was restored is equal to the source."""
    manifest = manifest_of(newest)
    rows = sum(dump.rows for dump in manifest.databases)
    tables = sum(dump.tables for dump in manifest.databases)
    if report.differences:
        shown = " ".join(report.differences[:_NAMED])
        more = f" And {len(report.differences) - _NAMED} more." if len(report.differences) > _NAMED else ""
        summary = f"What {newest.set_id} restores is not what the source held: {shown}{more}"
    elif report.doubts:
        summary = f"{newest.set_id} was not proven: {'; '.join(report.doubts)}."
    else:
        summary = (
            f"{newest.set_id} was restored in {span(report.seconds)} and is equal to its source: "
            f"{counted(rows, 'row')} of {counted(tables, 'table')} and a sample of the buckets."
        )
    measured = [Measurement("restore and proof", round(report.seconds, 2), "s")]
    for proof in report.databases:
        measured += [Measurement(f"{proof.name}: {phase}", round(took, 2), "s") for phase, took in proof.phases.items()]
    hint = "" if report.verdict is Verdict.OK else _PROOF_HINT
    coverage = Coverage(
        seen=tuple(proof.name for proof in report.databases),
        canary_found=bool(report.mutant.caught_by) if report.mutant else None,
    )
    return CheckResult("backup.proven", report.verdict, summary, tuple(measured), hint, coverage)


def mutant_result(report: ProofReport) -> list[CheckResult]:
    """Say whether the verifier noticed its mutant; nothing when there was none to feed it."""
    if report.mutant is None:
        return []
    mutant = report.mutant
    verdict = Verdict.OK if mutant.caught_by else Verdict.CRITICAL
    noticed = f"was noticed: {mutant.caught_by}" if mutant.caught_by else "was NOT noticed, so that no proof counts."
    summary = f"The mutant '{mutant.name}' ({mutant.target}) {noticed}"
    return [CheckResult("backup.verifier", verdict, summary, coverage=Coverage(seen=(mutant.name,)))]


def retention_result(name: str, plan: RetentionPlan, done: SweepReport, coverage: Coverage) -> CheckResult:
    """Say what went and what stays."""
    troubles = [f"{set_id}: {why}" for set_id, why in {**done.locked, **done.unread}.items()]
    summary = (
        f"{counted(len(plan.keep), 'set')} kept, {len(done.removed_sets)} removed, "
        f"{counted(done.removed_objects, 'object')} swept. {' '.join(troubles)}"
    ).strip()
    measured = (
        Measurement("sets kept", len(plan.keep)),
        Measurement("sets removed", len(done.removed_sets)),
        Measurement("bytes freed", done.removed_bytes, "bytes"),
    )
    return CheckResult(name, Verdict.WARNING if troubles else Verdict.OK, summary, measured, coverage=coverage)


def manifest_of(found: SetOnDisk) -> Manifest:
    """Return a set's manifest.

    Raises:
        InputError: it has none that can be read.
    """
    if found.manifest is None:
        raise InputError(f"The set {found.set_id} has no manifest that can be read; look at it by hand.")
    return found.manifest
