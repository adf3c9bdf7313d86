"""Statements that take longer a call than they usually do."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from statistics import median

from tdev_operators.core.database.performance.day import FIRST, Day
from tdev_operators.core.database.performance.intervals import statements_between
from tdev_operators.core.database.performance.sampling import STATEMENTS
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.reporting.wording import number, rounded
from tdev_operators.core.verdicts import CheckResult

HINT = (
    "Compare its plan with before (a changed plan after ANALYZE, an index that is gone, a table that grew, waits for "
    "locks or disk): EXPLAIN (ANALYZE, BUFFERS) with real values."
)
CAUSE = "performance.top_statements"


def look(day: Day) -> CheckResult:
    """Hold the mean of the last day against the median of the daily means before it.

    Only statements that were called often enough in both, and that are slow enough now to matter, are judged. What was
    evicted or zeroed meanwhile is not judged; when that leaves nothing, the result is UNKNOWN.
    """
    limits = day.settings.performance
    findings = Findings("performance.regressions")
    interval = day.statements
    if interval is None:
        findings.saw("statements")
        return findings.conclude(FIRST, tool=day.taken.tool)
    baselines = _baselines(day)
    judged = 0
    lines = []
    for key, spent in sorted(interval.spent.items(), key=lambda each: -each[1].milliseconds):
        means = baselines.get(key, [])
        if spent.calls < limits.regression_minimum_calls or len(means) < limits.baseline_minimum_days:
            continue
        judged += 1
        usual = median(means)
        if spent.mean_ms < limits.regression_minimum_ms or usual <= 0:
            continue
        times = spent.mean_ms / usual
        if times < limits.regression_times.warning:
            continue
        name = key.partition(":")[0]
        verdict = findings.measure(f"{name}, times its usual", round(times, 2), "x", limits.regression_times)
        sentence = (
            f"{day.named(key)} takes {_ms(spent.mean_ms)} a call, {times:.1f} times its usual {_ms(usual)} "
            f"({spent.calls:,} calls, {len(means)} days before)."
        )
        findings.found(verdict, sentence)
        lines.append(sentence)
    findings.measure("statements judged", judged)
    notes = _notes(interval.unjudged, interval.evictions)
    if not judged and interval.unjudged and not interval.reset:
        findings.skip("statements", f"none can be judged: {notes}")
    findings.saw(f"{judged} statements")
    if judged:
        told = f"None of {judged} statements takes longer than usual."
    else:
        told = (
            f"Nothing to compare with yet: no statement has {limits.baseline_minimum_days} days of "
            f"{limits.regression_minimum_calls} calls before this one."
        )
    details = [*lines, *([notes] if notes else [])]
    return replace(findings.conclude(told, tool=day.taken.tool), details=tuple(details))


def _baselines(day: Day) -> dict[str, list[float]]:
    limits = day.settings.performance
    before = day.before(STATEMENTS)[-(limits.baseline_days + 1) :]
    means: dict[str, list[float]] = {}
    for earlier, later in pairwise(before):
        for key, spent in statements_between(earlier, later).spent.items():
            if spent.calls >= limits.regression_minimum_calls:
                means.setdefault(key, []).append(spent.mean_ms)
    return means


def _notes(unjudged: Mapping[str, str], evictions: int) -> str:
    reasons = list(unjudged.values())
    if not reasons:
        return ""
    counted = ", ".join(f"{reasons.count(reason)} because {reason}" for reason in dict.fromkeys(reasons))
    more = f"; {evictions} times statements were evicted: raise pg_stat_statements.max" if evictions else ""
    return f"Not judged: {counted}{more}."


def _ms(milliseconds: float) -> str:
    return f"{number(rounded(milliseconds))} ms"
