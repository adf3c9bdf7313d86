"""Which statements the server's time went to since yesterday."""

from dataclasses import replace

from tdev_operators.core.database.performance.day import FIRST, Day
from tdev_operators.core.database.performance.intervals import statements_between
from tdev_operators.core.database.performance.sampling import STATEMENTS
from tdev_operators.core.health.findings import Findings, judge
from tdev_operators.core.ledger import Sample
from tdev_operators.core.reporting.wording import number, rounded, span
from tdev_operators.core.verdicts import CheckResult, Verdict

HINT = "EXPLAIN (ANALYZE, BUFFERS) the first one with real values; look for an index, fewer calls, or a cache."


def look(day: Day) -> CheckResult:
    """Hold what each statement executes against the time that passed: 100 % is one session busy all the while."""
    limits = day.settings.performance
    findings = Findings("performance.top_statements")
    today = day.taken.sample(STATEMENTS).facts
    findings.measure("statements recorded", today["recorded"])
    if not today["recorded"]:
        findings.skip("statements", "none is recorded; see pg_stat_statements.track and compute_query_id")
        return findings.conclude("No statement can be seen.", tool=day.taken.tool)
    findings.saw(f"{len(today['statements'])} statements")
    interval = day.statements
    if interval is None:
        ordered = sorted(today["statements"].items(), key=lambda each: -each[1][1])[: limits.shown]
        lines = [f"{ms / 1000:,.1f} s in {calls:,} calls: {day.named(key)}" for key, (calls, ms, *_) in ordered]
        return replace(
            findings.conclude(f"{FIRST} Since the counters began: {lines[0]}", tool=day.taken.tool),
            details=tuple(lines),
        )
    whole = interval.milliseconds or 1.0
    passed = interval.days * 86_400_000
    ordered_now = sorted(interval.spent.items(), key=lambda each: -each[1].milliseconds)[: limits.shown]
    lines = []
    for key, spent in ordered_now:
        load = 100 * spent.milliseconds / passed
        verdict = judge(load, limits.statement_load_percent)
        if verdict is not Verdict.OK or not lines:
            name = f"load of {key.partition(':')[0]}"
            findings.measure(name, round(load, 2), "%", limits.statement_load_percent)
        findings.found(
            verdict, f"{day.named(key)} kept {load / 100:.1f} sessions busy: {span(spent.milliseconds / 1000)} in all."
        )
        lines.append(
            f"{100 * spent.milliseconds / whole:.0f} % ({span(spent.milliseconds / 1000)}, {spent.calls:,} calls of "
            f"{number(rounded(spent.mean_ms))} ms): {day.named(key)}"
        )
    since = f"since {interval.start:%Y-%m-%d %H:%M}" + (", when the counters were reset" if interval.reset else "")
    sentence = f"The most expensive of {len(interval.spent)} statements {since}: {lines[0] if lines else 'none ran'}"
    series = day.trend(STATEMENTS, "execution time of all statements", "h/d", _hours_a_day)
    return replace(findings.conclude(sentence, tool=day.taken.tool), details=tuple(lines), series=series)


def _hours_a_day(before: Sample, after: Sample) -> float:
    interval = statements_between(before, after)
    return interval.milliseconds / 3_600_000 / interval.days
