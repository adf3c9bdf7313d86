"""How many generations were made, of those that were due."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from tdev_operators.core.evolution.review.reading import LAST_WEEK, NAMES, TODAY, YESTERDAY, Review
from tdev_operators.core.health.findings import Findings, some
from tdev_operators.core.reporting.wording import counted
from tdev_operators.core.series import Point, Series, thinned
from tdev_operators.core.verdicts import CheckResult, Verdict, worst

HINT = (
    "Look for pauses in the picture and at what ran then (back-ups and restores stop the evolution for a while); a "
    "stalled evolution is diagnosed and cured by `tdev_recover_evolution`."
)
_DAY_SECONDS = 86_400


def look(review: Review) -> CheckResult:
    """Hold the generations of the last 24 h against one every interval, and against the days before.

    A system younger than a day owes only what it could have made. Numbers that are missing are told; what does not
    begin with every generation before it may have lost one.
    """
    findings = Findings("generations.pace")
    interval = review.settings.evolution.generation_interval_seconds
    limits = review.settings.evolution.review.made_percent
    every = review.generations
    if not every:
        return findings.conclude(f"No generation is recorded in the last {review.settings.evolution.review.days} days.")
    age = max(each.hours_ago for each in every) * 3600
    due = int(min(_DAY_SECONDS, age) // interval)
    made = {day: len(review.made(day)) for day in (TODAY, YESTERDAY, LAST_WEEK)}
    findings.measure("generations made in 24 h", made[TODAY])
    findings.measure("generations due in 24 h", due)
    if not due:
        return findings.conclude(f"The evolution is {age / 60:.0f} min old; no generation was due yet.")
    findings.saw("evolution_history")
    told = review.usual({day: count for day, count in made.items() if day * _DAY_SECONDS < age})
    sentence = f"{made[TODAY]} of {due} generations that were due were made in {NAMES[TODAY]} ({told})."
    numbers = [each.number for each in every]
    gaps = [(before + 1, after - 1) for before, after in pairwise(numbers) if after > before + 1]
    missing = sum(last - first + 1 for first, last in gaps)
    findings.measure("numbers missing", missing)
    if gaps:
        named = [f"{first}" if first == last else f"{first} to {last}" for first, last in gaps]
        sentence += f" {counted(missing, 'generation')} without history: {some(named, at_most=5)}."
    verdict = findings.measure("made of due", round(100 * made[TODAY] / due, 1), "%", limits)
    findings.found(worst([verdict, Verdict.WARNING if missing else Verdict.OK]), sentence)
    by_day = Counter((review.at - timedelta(hours=each.hours_ago)).date() for each in every)
    # The first and the last day are not whole.
    days = sorted(by_day)[1:-1]
    points = [
        Point(review.at.replace(year=d.year, month=d.month, day=d.day, hour=12, minute=0), by_day[d]) for d in days
    ]
    series = Series("generations a day", "", thinned(points), limit=_DAY_SECONDS // interval)
    return replace(findings.conclude(sentence), series=(series,) if points else ())
