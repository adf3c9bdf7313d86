"""How much the evolution gets done in a day."""

from dataclasses import replace
from statistics import median

from tdev_operators.core.application.day import ApplicationDay
from tdev_operators.core.errors import AccessDeniedError
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.series import Point, Series, thinned
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult

HINT = "The report of evolution_metrics_review says whether generations are missing or smaller, and what slows them."


def look(day: ApplicationDay) -> CheckResult:
    """Hold the evaluations of the last 24 h against the median of the days before. Read from the history itself."""
    limits = day.settings.performance
    findings = Findings("performance.throughput")
    rows = day.system.database.rows(load_sql("application/throughput"), {"days": limits.baseline_days})
    if rows[0]["rows_hidden"]:
        raise AccessDeniedError("Row security hides rows of evolution_history; give our role BYPASSRLS.")
    days = [row for row in rows if row["is_whole"]]
    if not days or days[0]["days_ago"]:
        return findings.conclude("The history is younger than a day.")
    findings.saw("evolution_history")
    today, before = days[0], [row["evaluations"] for row in days[1:]]
    findings.measure("generations in 24 h", today["generations"])
    findings.measure("evaluations in 24 h", today["evaluations"])
    sentence = f"{today['evaluations']:,} evaluations in {today['generations']} generations were made in 24 h"
    if len(before) < limits.baseline_minimum_days:
        return findings.conclude(f"{sentence}; there are too few days before to call anything usual.")
    usual = median(before)
    percent = 100 * today["evaluations"] / usual if usual else 100.0
    verdict = findings.measure("evaluations, of the usual", round(percent, 1), "%", limits.throughput_percent)
    findings.found(verdict, f"{sentence}, {percent:.0f} % of the usual {usual:,.0f}.")
    points = [Point(row["ended_at"], row["evaluations"]) for row in reversed(days)]
    series = Series("evaluations in 24 h", "", thinned(points))
    return replace(findings.conclude(f"{sentence}; {usual:,.0f} are usual."), series=(series,))
