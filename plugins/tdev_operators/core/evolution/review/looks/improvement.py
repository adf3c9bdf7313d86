"""By how much the fitness improves with each generation, against the goal."""

from collections.abc import Sequence
from dataclasses import replace

from tdev_operators.core.evolution.review.reading import LAST_WEEK, NAMES, TODAY, YESTERDAY, Generation, Review
from tdev_operators.core.evolution.review.statistics import Improvement, improvement
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.verdicts import CheckResult

HINT = (
    "Compare population_size and the mutations that help with the weeks in which it improved more; a population near "
    "its ceiling cannot improve by the goal any more: set improvement_percent to what is still worth its costs."
)


def look(review: Review) -> CheckResult:
    """Hold the improvement of the mean a generation against the goal of the settings.

    The goal is missed only when the whole confidence interval lies below it: so a noisy day accuses nobody.
    """
    findings = Findings("generations.improvement")
    limits = review.settings.evolution.review
    today = _scored(review.made(TODAY))
    if len(today) < limits.minimum_generations:
        findings.skip("improvement", f"{len(today)} generations in {NAMES[TODAY]}, {limits.minimum_generations} needed")
        return findings.conclude("There is too little to judge.", because_of="generations.pace")
    findings.saw("evolution_history")
    found = _of(today, limits.confidence_percent)
    days: dict[int, float | None] = {}
    for day in (YESTERDAY, LAST_WEEK):
        scored = _scored(review.made(day))
        days[day] = (
            _of(scored, limits.confidence_percent).percent if len(scored) >= limits.minimum_generations else None
        )
    goal = limits.improvement_percent.warning
    findings.measure("improvement a generation", round(found.percent, 4), "%")
    verdict = findings.measure(
        "highest improvement in the interval", round(found.high, 4), "%", limits.improvement_percent
    )
    sentence = (
        f"The mean fitness improves by {found.percent:+.3f} % a generation ({found.low:+.3f} to {found.high:+.3f} with "
        f"{limits.confidence_percent:g} % confidence; in %: {review.usual(days)}); the goal is {goal:g} %."
    )
    findings.found(verdict, sentence)
    best = [each.best for each in today if each.best is not None]
    details = (f"The best fitness went from {best[0]:.4f} to {best[-1]:.4f} over {len(best)} generations.",)
    return replace(findings.conclude(sentence), details=details)


def _scored(generations: Sequence[Generation]) -> list[Generation]:
    return [each for each in generations if each.mean is not None and each.mean > 0]


def _of(generations: Sequence[Generation], confidence_percent: float) -> Improvement:
    means = [each.mean or 0.0 for each in generations]
    return improvement([each.number for each in generations], means, confidence_percent)
