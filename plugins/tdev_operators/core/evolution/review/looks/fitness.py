"""Best, mean and variance of the fitness, and where its course changed."""

import math
from collections.abc import Sequence
from dataclasses import replace

from tdev_operators.core.evolution.review.reading import LAST_WEEK, NAMES, TODAY, YESTERDAY, Generation, Review
from tdev_operators.core.evolution.review.statistics import Change, change_of_course
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.series import Point, Series, thinned
from tdev_operators.core.verdicts import CheckResult, Verdict

HINT = (
    "See what was deployed or set when the course changed; `generations.mutations` says which mutations hurt, and the "
    "last checkpoint from before the change is in the checkpoints bucket."
)


def look(review: Review) -> CheckResult:
    """Tell the fitness of the last 24 h beside the days before, and note a change of course.

    A change for the worse (the mean steps down, or falls from then on) that is as certain and as large as the settings
    ask is a WARNING as long as it is recent. Too few generations are UNKNOWN.
    """
    findings = Findings("generations.fitness")
    limits = review.settings.evolution.review
    scored = [each for each in review.generations if each.mean is not None]
    today = [each for each in review.made(TODAY) if each.mean is not None]
    if len(today) < limits.minimum_generations:
        findings.skip("fitness", f"{len(today)} generations in {NAMES[TODAY]}, {limits.minimum_generations} needed")
        return findings.conclude("There is too little to judge.", because_of="generations.pace")
    findings.saw("evolution_history")
    mean = _mean(today)
    days = {day: _mean([each for each in review.made(day) if each.mean is not None]) for day in (YESTERDAY, LAST_WEEK)}
    best = max(each.best for each in today if each.best is not None)
    variances = [each.variance for each in today if each.variance is not None]
    deviation = math.sqrt(math.fsum(variances) / len(variances)) if variances else None
    findings.measure("mean fitness", round(mean or 0.0, 4))
    findings.measure("best fitness", round(best, 4))
    findings.measure("variance within a generation", round(deviation**2, 6) if deviation is not None else None)
    spread = f", standard deviation within a generation {deviation:.3f}" if deviation is not None else ""
    sentence = f"The mean fitness of {NAMES[TODAY]} is {mean:.4f} ({review.usual(days)}), the best {best:.4f}{spread}."
    note = _note(review, scored, findings)
    series = (
        Series("mean fitness", "", thinned([Point(each.first_at, each.mean or 0.0) for each in scored])),
        Series("best fitness", "", thinned([Point(each.first_at, each.best or 0.0) for each in scored])),
        Series(
            "variance of the fitness within a generation",
            "",
            thinned([Point(each.first_at, each.variance) for each in scored if each.variance is not None]),
        ),
    )
    concluded = findings.conclude(f"{sentence} {note}".strip())
    return replace(concluded, series=series, details=(sentence, note) if note else (sentence,))


def _note(review: Review, scored: Sequence[Generation], findings: Findings) -> str:
    limits = review.settings.evolution.review
    change = change_of_course([each.mean or 0.0 for each in scored])
    if change is None:
        return "There are too few generations to look for a change of course."
    findings.measure("p-value of a change of course", round(change.p_value, 4))
    if 100 * (1 - change.p_value) < limits.confidence_percent or change.apart < limits.change_minimum:
        return ""
    at = scored[change.place]
    step = f", with a step of {change.step:+.4f}" if abs(change.step) >= limits.change_minimum else ""
    note = (
        f"Its course changed with generation {at.number} on {at.first_at:%Y-%m-%d %H:%M} UTC: from "
        f"{change.slope_before:+.5f} to {change.slope_after:+.5f} a generation{step} (p = {change.p_value:.3f})."
    )
    if _is_worse(change, len(scored), limits.change_minimum) and at.hours_ago <= limits.change_days * 24:
        findings.found(Verdict.WARNING, note)
    return note


def _is_worse(change: Change, generations: int, minimum: float) -> bool:
    fallen_since = -change.slope_after * (generations - change.place)
    return change.step <= -minimum or (change.slope_after < change.slope_before and fallen_since >= minimum)


def _mean(generations: Sequence[Generation]) -> float | None:
    means = [each.mean for each in generations if each.mean is not None]
    return math.fsum(means) / len(means) if means else None
