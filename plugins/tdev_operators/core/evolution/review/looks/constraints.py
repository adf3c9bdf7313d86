"""Which of the system's limits were broken, and by which agents."""

from collections import Counter
from dataclasses import replace

from tdev_operators.core.evolution.review.reading import LAST_WEEK, NAMES, TODAY, YESTERDAY, Review
from tdev_operators.core.health.findings import Findings, some
from tdev_operators.core.reporting.wording import counted
from tdev_operators.core.verdicts import CheckResult

HINT = (
    "Agents that are too large are made smaller by the weekly `agent_optimization`; one that is too slow or breaks its "
    "limits again and again is retired by the evolution's own means."
)
_SHOWN = 20


def look(review: Review) -> CheckResult:
    """Tell the violations of the last 24 h by kind and agent, beside the days before, and agents beyond a limit now."""
    findings = Findings("generations.constraints")
    rules, limits = review.settings.agents, review.settings.health.evolution.constraint_violations
    params = {"max_size_kb": rules.max_size_kb, "max_instantiation_us": rules.max_instantiation_us}
    days = {day: review.rows("violations", params | {"days_ago": day}) for day in (TODAY, YESTERDAY, LAST_WEEK)}
    beyond = review.rows("over_limits", params)
    if not review.made(TODAY):
        findings.skip("evolution_history", f"no generation was made in {NAMES[TODAY]}")
        return findings.conclude("There is nothing to judge.", because_of="generations.pace")
    findings.saw("evolution_history", "agents")
    totals: dict[int, float | None] = {day: sum(row["violations"] for row in rows) for day, rows in days.items()}
    total = int(totals[TODAY] or 0)
    kinds: Counter[str] = Counter()
    for row in days[TODAY]:
        kinds[_kind(row["too_large"], row["too_slow"])] += row["violations"]
    verdict = findings.measure("constraint violations in 24 h", total, "", limits)
    for kind, count in sorted(kinds.items()):
        findings.measure(f"violations: {kind}", count)
    told = review.usual(totals)
    by_kind = "; ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    if total:
        names = some([f"{row['agent']} ({row['violations']})" for row in days[TODAY]])
        findings.found(
            verdict, f"{total} evaluations of {NAMES[TODAY]} broke constraints ({told}): {by_kind}; by {names}."
        )
    over = findings.measure("agents beyond a limit now", len(beyond), "", limits)
    if beyond:
        named = some([row["agent"] for row in beyond])
        findings.found(over, f"{counted(len(beyond), 'registered agent')} beyond a limit: {named}.")
    details = [
        f"{row['agent']}: {row['violations']}, {_kind(row['too_large'], row['too_slow'])}" for row in days[TODAY]
    ]
    details += [f"{row['agent']}: registered, {_kind(row['too_large'], row['too_slow'])}" for row in beyond]
    more = [f"and {len(details) - _SHOWN} more"] if len(details) > _SHOWN else []
    concluded = findings.conclude(f"No evaluation of {NAMES[TODAY]} broke a constraint ({told}).")
    return replace(concluded, details=(*details[:_SHOWN], *more))


def _kind(too_large: bool, too_slow: bool) -> str:  # noqa: FBT001  two facts of a row
    if too_large and too_slow:
        return "too large and too slow"
    if too_large or too_slow:
        return "too large" if too_large else "too slow"
    return "of a kind that the registry does not show"
