"""Whether a proven drill is due: once a month, and never a whole month without (guide: monthly tasks)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from tdev_operators.core.backup.repository import Repository
from tdev_operators.core.drill.evidence import TAMPERED, Evidence, EvidenceChain
from tdev_operators.core.drill.ports import DrillPorts
from tdev_operators.core.drill.told import forecast_result, set_sizes
from tdev_operators.core.errors import ProofFailedError
from tdev_operators.core.items import ItemOutcome
from tdev_operators.core.ports import Clock
from tdev_operators.core.reporting.wording import moment, span
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict

NAME = "drill.due"


def due_result(evidence: Sequence[Evidence], now: datetime, due_day: int, link: str) -> CheckResult:
    """Return OK when a drill was proven this month, a reminder with a link when not, and CRITICAL when it is overdue.

    Overdue: `due_day` of the month has come, or the month before had none either.
    """
    coverage = Coverage(seen=(f"evidence of {len(evidence)} drills",))
    hint = f"A team lead starts the drill here: {link}"
    proven = [one for one in evidence if one.proven]
    if not proven:
        tried = f" {len(evidence)} were begun and none ended well." if evidence else ""
        summary = f"No drill was ever proven: nobody knows how long a recovery takes.{tried}"
        verdict = Verdict.CRITICAL if now.day >= due_day else Verdict.WARNING
        return CheckResult(NAME, verdict, summary, hint=hint, coverage=coverage)
    last = max(proven, key=lambda one: one.ended_at)
    age = (now - last.ended_at).total_seconds()
    measured = (
        Measurement("days since a proven drill", round(age / 86_400, 1), "d"),
        Measurement("recovery time then", round(last.rto_seconds, 1), "s"),
    )
    told = (
        f"The last proven drill was at {moment(last.ended_at)}, {span(age)} ago: {span(last.rto_seconds)} to recover."
    )
    months = (now.year - last.ended_at.year) * 12 + now.month - last.ended_at.month
    if months <= 0:
        return CheckResult(NAME, Verdict.OK, told, measured, coverage=coverage)
    overdue = months > 1 or now.day >= due_day
    summary = f"{'Overdue: n' if overdue else 'N'}o drill was proven this month. {told}"
    return CheckResult(NAME, Verdict.CRITICAL if overdue else Verdict.WARNING, summary, measured, hint, coverage)


def due_outcome(
    ports: DrillPorts, settings: Settings, clock: Clock, link: str, known: Mapping[int, str] = MappingProxyType({})
) -> ItemOutcome:
    """Return whether a drill is due, and how long a recovery would take by now (the monthly item).

    `known` are the digests of past evidence in the ledger, by number.

    Raises:
        TransientError: the store is away; try again.
    """
    started_at, bucket, system = clock(), settings.buckets.backups, settings.system.name
    try:
        evidence = [one.evidence for one in EvidenceChain(ports.store, bucket, system).read(known)]
    except ProofFailedError as error:
        seen = Coverage(seen=("chain",))
        broken = CheckResult("drill.evidence", Verdict.CRITICAL, str(error), hint=TAMPERED, coverage=seen)
        return ItemOutcome((broken,), started_at, clock())
    results = [due_result(evidence, started_at, settings.drill.due_day, link)]
    if history := [one.timed for one in evidence if one.proven]:
        results.append(forecast_result(history, settings.drill, set_sizes(Repository(ports.store, bucket, system))))
    return ItemOutcome(tuple(results), started_at, clock())
