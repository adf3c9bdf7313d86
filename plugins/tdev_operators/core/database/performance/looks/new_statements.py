"""Statements that were not there before and already cost much."""

from dataclasses import replace

from tdev_operators.core.database.performance.day import FIRST, Day
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.reporting.wording import number, rounded, span
from tdev_operators.core.verdicts import CheckResult

HINT = "See which release brought it; EXPLAIN (ANALYZE, BUFFERS) it before its table has grown."
CAUSE = "performance.top_statements"


def look(day: Day) -> CheckResult:
    """Hold the share of each new statement in the day's execution time against its limit, if it took long at all."""
    limits = day.settings.performance
    findings = Findings("performance.new_statements")
    interval = day.statements
    findings.saw("statements")
    if interval is None:
        return findings.conclude(FIRST, tool=day.taken.tool)
    if interval.reset:
        return findings.conclude(
            f"The counters were reset at {interval.start:%Y-%m-%d %H:%M}, so that every statement looks new.",
            tool=day.taken.tool,
        )
    new = sorted(
        ((key, spent) for key, spent in interval.spent.items() if spent.new), key=lambda each: -each[1].milliseconds
    )
    whole = interval.milliseconds or 1.0
    lines = []
    for key, spent in new[: limits.shown]:
        share = 100 * spent.milliseconds / whole
        line = (
            f"{share:.0f} % ({span(spent.milliseconds / 1000)}, {spent.calls:,} calls of "
            f"{number(rounded(spent.mean_ms))} ms): {day.named(key)}"
        )
        lines.append(line)
        if spent.milliseconds / 1000 / interval.days < limits.new_statement_minimum_seconds:
            continue
        verdict = findings.measure(
            f"share of {key.partition(':')[0]}", round(share, 1), "%", limits.new_statement_percent
        )
        findings.found(verdict, f"New, and already {line}.")
    findings.measure("new statements", len(new))
    return replace(
        findings.conclude(f"{len(new)} statements are new since {interval.start:%Y-%m-%d}.", tool=day.taken.tool),
        details=tuple(lines),
    )
