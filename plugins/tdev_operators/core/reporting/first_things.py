"""The things to look at first: what is red, what warns, and then the figures that are furthest from what they were.

Pure; the same results give the same answer.
"""

from collections.abc import Iterable, Sequence
from statistics import median

from tdev_operators.core.reporting.wording import number, rounded
from tdev_operators.core.series import Series
from tdev_operators.core.verdicts import CheckResult, Verdict

MOST = 3
# A median of fewer days says little, and three standard deviations are what chance seldom does.
_FEWEST_POINTS = 6
_DEVIATIONS = 3.0
_TO_STANDARD_DEVIATION = 1.4826  # of the median absolute deviation, for a normal distribution
# A figure that never moved is not "far away" because it moved by a hair.
_LEAST_SHARE = 0.05
_SUMMARY = 200


def first_things(results: Sequence[CheckResult]) -> tuple[str, ...]:
    """Return at most three sentences, the most urgent first; none when all is well and as it always is.

    `results` are sorted, the worst first; what follows from another one is not named on its own.
    """
    bad = [result for result in results if result.verdict is not Verdict.OK and not result.because_of]
    told = [f"{result.check}: {_first_sentence(result.summary)}" for result in bad[:MOST]]
    named = {result.check for result in bad[:MOST]}
    unusual = sorted(_unusual(result for result in results if result.check not in named), reverse=True)
    return tuple([*told, *(sentence for _, sentence in unusual)][:MOST])


def _unusual(results: Iterable[CheckResult]) -> Iterable[tuple[float, str]]:
    for result in results:
        found = [each for each in map(_departure, result.series) if each]
        if found:
            distance, sentence = max(found)
            yield distance, f"{result.check}: {sentence}"


def _departure(series: Series) -> tuple[float, str] | None:
    """Return how far the last point lies from the median of those before, and the sentence about it; None when near."""
    *before, last = [point.value for point in series.points] or [0.0]
    if len(before) < _FEWEST_POINTS:
        return None
    middle = median(before)
    spread = _TO_STANDARD_DEVIATION * median(abs(value - middle) for value in before)
    scale = max(spread, _LEAST_SHARE * abs(middle) / _DEVIATIONS)
    distance = abs(last - middle)
    if scale == 0 or distance < _DEVIATIONS * scale:
        return None
    unit = f" {series.unit}" if series.unit else ""
    way = "above" if last > middle else "below"
    sentence = (
        f"{series.name} is {number(rounded(last))}{unit}, unusually far {way} its median of "
        f"{number(rounded(middle))}{unit}."
    )
    return distance / scale, sentence


def _first_sentence(summary: str) -> str:
    first, dot, _ = summary.partition(". ")
    sentence = first + dot.strip()
    return sentence if len(sentence) <= _SUMMARY else f"{sentence[: _SUMMARY - 1]}…"
