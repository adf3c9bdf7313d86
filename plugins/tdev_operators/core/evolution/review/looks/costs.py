"""What the evaluations cost."""

from tdev_operators.core.evolution.review.reading import LAST_WEEK, NAMES, TODAY, YESTERDAY, Review
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.reporting.wording import number, rounded
from tdev_operators.core.verdicts import CheckResult

HINT = "See in fitness_tracking which agents cost most; more evaluations than usual come from population_size."


def look(review: Review) -> CheckResult:
    """Hold the costs of the last 24 h, as the evaluations state them, against the days before.

    Where too few evaluations say what they cost the result is UNKNOWN.
    """
    findings = Findings("generations.costs")
    limits = review.settings.evolution.review
    days = {
        day: review.rows("costs", {"days_ago": day, "cost_key": limits.cost_key})[0]
        for day in (TODAY, YESTERDAY, LAST_WEEK)
    }
    today = days[TODAY]
    known = 100 * today["known"] / today["evaluations"] if today["evaluations"] else 0.0
    findings.measure("evaluations in 24 h", today["evaluations"])
    findings.measure("of them with known costs", round(known, 1), "%")
    if not today["known"] or known < limits.known_percent:
        findings.skip("costs", f"{today['known']} of {today['evaluations']} evaluations say {limits.cost_key}")
        return findings.conclude(
            "What the evaluations cost is not known.",
            hint="Name the key of fitness_tracking.performance_metrics in [evolution.review] cost_key, or switch "
            "generations.costs off with a reason.",
            because_of="" if today["evaluations"] else "generations.pace",
        )
    findings.saw("fitness_tracking")
    costs = {day: row["cost"] for day, row in days.items()}
    mean = today["cost"] / today["known"]
    unit = f" {limits.cost_unit}" if limits.cost_unit else ""
    findings.measure("costs in 24 h", rounded(today["cost"]), limits.cost_unit)
    findings.measure("costs of an evaluation", rounded(mean), limits.cost_unit)
    sentence = (
        f"The evaluations of {NAMES[TODAY]} cost {number(rounded(today['cost']))}{unit}, {number(rounded(mean))}{unit} "
        f"each ({review.usual(costs)})."
    )
    before = [cost for day, cost in costs.items() if day and cost]
    if before:
        times = today["cost"] / max(before)
        findings.found(findings.measure("times the days before", round(times, 2), "x", limits.cost_times), sentence)
    return findings.conclude(sentence)
