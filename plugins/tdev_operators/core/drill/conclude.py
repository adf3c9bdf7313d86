"""The end of a drill: what others left is removed, what was seen becomes results, and results become evidence."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from tdev_operators.core.drill.drill import FAILOVER, INTENT, REHEARSED, Drill
from tdev_operators.core.drill.evidence import TAMPERED, Evidence
from tdev_operators.core.drill.told import results_of, set_sizes
from tdev_operators.core.errors import ProofFailedError
from tdev_operators.core.items import ItemOutcome
from tdev_operators.core.sealed_chain import Sealed
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Coverage, Verdict


def conclude(
    drill: Drill,
    settings: Settings,
    started_at: datetime,
    now: datetime,
    *,
    alone: bool,
    failover: bool = False,
    known: Mapping[int, str] = MappingProxyType({}),
) -> tuple[ItemOutcome, Sealed[Evidence] | None]:
    """Sweep, judge, and seal the evidence; None where the chain was tampered with, which is a result then.

    `alone`: see `Drill.sweep`. `failover`: one should have been rehearsed too. `known` are the digests of past evidence
    in the ledger, by number.

    Raises:
        BusyError: another drill's evidence came between; try again.
        TransientError: the store is away.
    """
    swept = drill.sweep(alone=alone)
    if drill.journal.last(INTENT) is not None:
        drill.clear()  # where the step that does it never ran
    try:
        past = [one.evidence for one in drill.chain.read(known)]
    except ProofFailedError as error:
        broken = CheckResult(
            "drill.evidence", Verdict.CRITICAL, str(error), hint=TAMPERED, coverage=Coverage(seen=("chain",))
        )
        results = _results(drill, settings, (), failover=failover)
        return ItemOutcome((*results, broken, *_swept(swept)), started_at, now), None
    others = [one for one in past if one.recovery_id != drill.request.recovery_id]
    results = (*_results(drill, settings, others, failover=failover), *_swept(swept))
    sealed = drill.seal(ItemOutcome(results, started_at, now))
    evidence = sealed.evidence
    summary = f"Evidence {evidence.number} is {drill.chain.key_of(evidence.number)}, sha256 {sealed.sha256}."
    told = CheckResult("drill.evidence", Verdict.OK, summary, coverage=Coverage(seen=(f"{len(others)} before it",)))
    return ItemOutcome((*results, told), started_at, now), sealed


def _results(drill: Drill, settings: Settings, past: Sequence[Evidence], *, failover: bool) -> tuple[CheckResult, ...]:
    results = results_of(drill.journal, settings.drill, past, set_sizes(drill.repository))
    noted = drill.journal.done(FAILOVER)
    if noted is not None:
        return (*results, CheckResult.from_json(noted))
    if failover and drill.journal.done(REHEARSED) is not None:
        summary = "The failover to the other side was not rehearsed: the drill ended before."
        return (*results, CheckResult("drill.failover", Verdict.UNKNOWN, summary, hint="Start the drill again."))
    return results


def _swept(drills: list[str]) -> list[CheckResult]:
    if not drills:
        return []
    summary = f"What dead drills had left was removed: {', '.join(drills)}."
    return [CheckResult("drill.swept", Verdict.OK, summary, coverage=Coverage(seen=tuple(drills)))]
