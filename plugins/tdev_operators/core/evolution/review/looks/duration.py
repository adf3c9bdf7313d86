"""How long a generation takes, from its first evaluation to its last."""

from dataclasses import replace

from scipy import stats

from tdev_operators.core.evolution.review.reading import LAST_WEEK, NAMES, TODAY, YESTERDAY, Review, middle
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.reporting.wording import span
from tdev_operators.core.series import Point, Series, thinned
from tdev_operators.core.verdicts import CheckResult, Verdict

HINT = (
    "Longer at the same number of evaluations: see the load of the hosts, and in `performance.top_statements` what the "
    "evolution waits for. More evaluations: compare population_size with the settings."
)


def look(review: Review) -> CheckResult:
    """Hold the median duration of the last 24 h against the interval, and against the days before it.

    Longer than before counts only when a rank test (Mann-Whitney) is as certain as the settings ask. Generations whose
    rows all bear one moment have no duration; when none has one, the result is UNKNOWN.
    """
    findings = Findings("generations.duration")
    limits = review.settings.evolution.review
    every = [each for each in review.generations if each.seconds > 0]
    today = [each.seconds for each in every if each.hours_ago < 24]  # noqa: PLR2004  a day
    if len(today) < limits.minimum_generations:
        timed = f"{len(today)} generations of {NAMES[TODAY]} bear more than one moment"
        findings.skip("durations", f"{timed}, {limits.minimum_generations} needed")
        return findings.conclude(
            "How long a generation takes cannot be said.",
            hint="Let the evolution record each evaluation's own time, or switch generations.duration off.",
            because_of="generations.pace",
        )
    findings.saw("evolution_history")
    before = [each.seconds for each in every if each.hours_ago >= 24]  # noqa: PLR2004
    now, usual = middle(today) or 0.0, middle(before)
    interval = review.settings.evolution.generation_interval_seconds
    days = {
        day: middle([each.seconds for each in review.made(day) if each.seconds > 0]) for day in (YESTERDAY, LAST_WEEK)
    }
    sentence = (
        f"A generation takes {span(now)} (median; in seconds: {review.usual(days)}); one is due every {span(interval)}."
    )
    verdict = findings.measure(
        "median duration of the interval", round(100 * now / interval, 1), "%", limits.duration_percent
    )
    findings.found(verdict, sentence)
    findings.measure("median duration", round(now, 3), "s")
    if usual and len(before) >= limits.minimum_generations:
        certain = 100 * (1 - float(stats.mannwhitneyu(today, before, alternative="greater").pvalue))
        verdict = findings.measure("times the median before", round(now / usual, 3), "x", limits.duration_times)
        findings.measure("certainty of being slower", round(certain, 1), "%")
        if certain >= limits.confidence_percent and verdict is not Verdict.OK:
            findings.found(verdict, f"A generation takes {span(now)}, {now / usual:.1f} times the usual {span(usual)}.")
    points = [Point(each.first_at, each.seconds) for each in every]
    series = Series("duration of a generation", "s", thinned(points))
    return replace(findings.conclude(sentence), series=(series,))
