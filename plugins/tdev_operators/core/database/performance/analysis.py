"""The daily analysis: measure, compare with before, keep what was measured (guide: performance analysis)."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from tdev_operators.core.database import check_names
from tdev_operators.core.database.performance.day import Day, Look
from tdev_operators.core.database.performance.looks import all_looks
from tdev_operators.core.database.performance.sampling import STATEMENTS, Taken, take
from tdev_operators.core.errors import TdevError, sentence_of
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.items import ItemOutcome
from tdev_operators.core.ledger import ItemStore
from tdev_operators.core.verdicts import CheckResult, Verdict

if TYPE_CHECKING:
    from tdev_operators.core.database.performance.settings import PerformanceSettings
    from tdev_operators.core.ports import SystemPorts
    from tdev_operators.core.settings import Settings

SAMPLES = "performance.samples"
_HINT = "Mend what the sentence names; each day without a sample is one that regressions and capacity cannot see."
_OF_STATEMENTS = frozenset(f"performance.{look}" for look in ("top_statements", "regressions", "new_statements"))
# Growth looks a week back; a run that is late must still find that sample.
_LOOK_BACK_DAYS = 10

_log = logging.getLogger(__name__)


def analyse(
    system: "SystemPorts",
    ledger: ItemStore,
    settings: "Settings",
    *,
    progress: Callable[[str], object] = _log.info,
    looks: Sequence[Look] | None = None,
) -> ItemOutcome:
    """Take today's samples, compare them with those in the ledger, and keep them there.

    Reads the database only, as a role with pg_monitor and pg_read_all_data. A look that raises is UNKNOWN and says
    why; the others go on. On a first day there is nothing to compare with: that is said and is OK.
    """
    started_at = system.clock()
    looks = all_looks() if looks is None else looks
    wanted, out_of_scope = check_names.parted([SAMPLES, *(each.name for each in looks)], settings)
    taken = take(system, settings)
    name = settings.system.name
    since = taken.at - timedelta(days=look_back_days(settings.performance))
    day = Day(system, settings, taken, {kind: ledger.samples(name, kind, since) for kind in taken.samples})
    results = [_looked(each, day) for each in looks if each.name in wanted]
    kept = _kept(taken, ledger, settings, needs_statements=bool(wanted & _OF_STATEMENTS))
    if SAMPLES in wanted:
        results.append(kept)
    for result in results:
        progress(f"{result.verdict:8} {result.check} ({result.duration_seconds:.2f} s): {result.summary}")
    return ItemOutcome(_with_causes(results), started_at, system.clock(), out_of_scope)


def look_back_days(rules: "PerformanceSettings") -> int:
    """Return how many days back the oldest sample lies with which the analysis compares."""
    return max(rules.baseline_days + 2, _LOOK_BACK_DAYS)


def _looked(each: Look, day: Day) -> CheckResult:
    begun = time.monotonic()
    try:
        result = each.run(day)
    except Exception as error:  # noqa: BLE001  the boundary: whatever a look raises, the others go on
        cause = each.cause if isinstance(error, TdevError) else ""
        sentence = f"Could not look: {sentence_of(error, each.name, _log)}"
        result = CheckResult(each.name, Verdict.UNKNOWN, sentence, because_of=cause)
    return replace(result, hint=result.hint or each.hint).timed(time.monotonic() - begun)


def _kept(taken: Taken, ledger: ItemStore, settings: "Settings", *, needs_statements: bool) -> CheckResult:
    """Keep today's samples, and say so only of those that the ledger then has."""
    findings = Findings(SAMPLES)
    name = settings.system.name
    for kind, sample in taken.samples.items():
        if isinstance(sample, TdevError):
            if kind != STATEMENTS or needs_statements:
                findings.skip(kind, str(sample))
            continue
        try:
            ledger.keep_sample(name, kind, sample)
            kept = ledger.samples(name, kind, taken.at, 1)
        except TdevError as error:
            findings.skip(kind, str(error))
            continue
        if kept:
            findings.saw(kind)
        else:
            findings.skip(kind, "the ledger's database is down, so that it was not kept")
    kinds = [kind for kind, sample in taken.samples.items() if not isinstance(sample, TdevError)]
    return findings.conclude(f"Kept for later comparison: {', '.join(kinds)}.", hint=_HINT, tool=taken.tool)


def _with_causes(results: Sequence[CheckResult]) -> tuple[CheckResult, ...]:
    """Drop a cause that is not red itself, or that stands for another trouble: then the result speaks for itself."""
    by_name = {result.check: result for result in results}

    def settled(result: CheckResult) -> CheckResult:
        cause = by_name.get(result.because_of)
        holds = cause is not None and cause.verdict.is_red and cause.summary == result.summary
        return result if holds else replace(result, because_of="")

    return tuple(settled(result) if result.because_of else result for result in results)
