"""The review's statistics: which method answers which question. docs/evolution.md names them for the reader.

Everything is deterministic: what is resampled is resampled from a seed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

# Under fewer points on one side a line says nothing about that side.
_SIDE = 6
_RESAMPLES = 999
_SEED = 20240101
_MOST_MEMORY = 0.95  # at 1 nothing would ever be certain
_WARM_UP = 60  # figures after which a course has forgotten that it began at 0

Figures = npt.NDArray[np.float64]
Table = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Improvement:
    """By how many percent a figure grows with each generation, and between which it does with the confidence asked."""

    percent: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Change:
    """Where a course changed: the first place of the new one, the slopes on both sides, the step, its p-value.

    `apart` is how far the two lines lie from the one line at most: whether the change matters.
    """

    place: int
    slope_before: float
    slope_after: float
    step: float
    apart: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Effect:
    """What a mutation does to fitness: mean difference to what it is held against, p-value after correction."""

    mutation: str
    agents: int
    difference: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Moments:
    """So many figures, with their sum and the sum of their squares."""

    count: int
    total: float
    squares: float

    @property
    def mean(self) -> float:
        """The mean."""
        return self.total / self.count

    @property
    def deviation(self) -> float:
        """The sample's standard deviation."""
        return math.sqrt(max(self.squares - self.total * self.total / self.count, 0.0) / (self.count - 1))


def improvement(generations: Sequence[int], values: Sequence[float], confidence_percent: float) -> Improvement:
    """Return the relative growth a generation: Theil-Sen's slope of the logarithms, with its confidence interval.

    One bad generation in four moves it hardly. The interval is widened where neighbours resemble each other, which
    then tell less than as many independent ones. The values are above 0 and of at least two generations.
    """
    logarithms = np.log(values)
    slope, intercept, low, high = map(float, stats.theilslopes(logarithms, generations, confidence_percent / 100))
    memory = _memory(logarithms - intercept - slope * np.asarray(generations, float))
    wider = math.sqrt((1 + memory) / (1 - memory))
    ends = (slope, slope - wider * (slope - low), slope + wider * (high - slope))
    return Improvement(*(100 * math.expm1(each) for each in ends))


def change_of_course(values: Sequence[float]) -> Change | None:
    """Return where two straight lines fit best in place of one; None of too few values to say.

    The statistic is the largest Chow F over all splits (Andrews 1993); its p-value is that of a sieve bootstrap:
    courses without a change whose neighbours resemble each other as much as these do.
    """
    y = np.asarray(values, float)
    n = len(y)
    if n < 4 * _SIDE:
        return None
    x = np.arange(n, dtype=float)
    slope, intercept = np.polyfit(x, y, 1)
    line = intercept + slope * x
    left_over = y - line
    if np.max(np.abs(left_over)) <= 1e-12 * max(1.0, float(np.max(np.abs(y)))):
        return Change(0, float(slope), float(slope), 0.0, 0.0, 1.0)
    statistics = _chow(y[np.newaxis, :])[0]
    best = int(np.argmax(statistics))
    place = best + _SIDE
    before, after = np.polyfit(x[:place], y[:place], 1), np.polyfit(x[place:], y[place:], 1)
    lines = np.concatenate([np.polyval(before, x[:place]), np.polyval(after, x[place:])])
    # The memory is that beside the two lines: a change itself would be taken for memory, and hide.
    beyond = int(np.sum(_chow(_resampled(y - lines, n)).max(axis=1) >= statistics[best]))
    return Change(
        place,
        float(before[0]),
        float(after[0]),
        float(np.polyval(after, place) - np.polyval(before, place)),
        float(np.max(np.abs(lines - line))),
        (1 + beyond) / (1 + _RESAMPLES),
    )


def effects(compared: Sequence[tuple[str, Moments, Moments]]) -> list[Effect]:
    """Return what each mutation does, the most harmful first: Welch's t-test of those that had it against the others.

    The p-values are corrected for there being many mutations (Benjamini and Hochberg).
    """
    tested = []
    for mutation, having, lacking in compared:
        with np.errstate(divide="ignore", invalid="ignore"):
            p = stats.ttest_ind_from_stats(
                *(having.mean, having.deviation, having.count),
                *(lacking.mean, lacking.deviation, lacking.count),
                equal_var=False,
            ).pvalue
        tested.append((mutation, having.count, having.mean - lacking.mean, 1.0 if math.isnan(p) else float(p)))
    if not tested:
        return []
    corrected = stats.false_discovery_control([p for *_, p in tested])
    found = [Effect(*each[:3], float(p)) for each, p in zip(tested, corrected, strict=True)]
    return sorted(found, key=lambda each: each.difference)


def effective_number(usage: Sequence[float], times: Sequence[int]) -> float:
    """Return how many equally used genes would be as diverse: e to Shannon's entropy (Hill's number of order 1).

    `times` says how many genes were used each `usage` times. Of genes that nobody used it is 0.
    """
    used = [(each, count) for each, count in zip(usage, times, strict=True) if each > 0]
    if not used:
        return 0.0
    counts = np.repeat([each for each, _ in used], [count for _, count in used])
    return float(np.exp(stats.entropy(counts)))


def _memory(left_over: Figures, lines: int = 1) -> float:
    """Return how much a figure resembles the one before it, 0..0.95.

    Few figures show less of it than there is, and the more lines were laid through them the less.
    """
    squares = float(left_over @ left_over)
    seen = float(left_over[1:] @ left_over[:-1]) / squares if squares else 0.0
    # Kendall's bias around a line, for each of the lines; the place where they meet was chosen, too.
    return min(max(seen + (3 * lines - 1) * (1 + 2 * seen) / len(left_over), 0.0), _MOST_MEMORY)


def _resampled(left_over: Figures, n: int) -> Table:
    """Return courses of such figures that follow each other as these do."""
    memory = _memory(left_over, lines=2)
    news = left_over[1:] - memory * left_over[:-1]
    news = news - news.mean()
    drawn = np.random.default_rng(_SEED).choice(news, size=(_RESAMPLES, n + _WARM_UP))
    made = np.zeros((_RESAMPLES, n + _WARM_UP))
    for place in range(1, n + _WARM_UP):
        made[:, place] = memory * made[:, place - 1] + drawn[:, place]
    return made[:, _WARM_UP:]


def _chow(rows: Table) -> Table:
    """Return Chow's F for every split of every row, by sums that are carried on: no line is fitted twice."""
    n = rows.shape[1]
    x = np.arange(n, dtype=float)
    ends = np.arange(_SIDE, n - _SIDE + 1)

    def left_over(y: Table) -> Table:
        """Return the squares that a line through the first k leaves over, for k = 1..n."""
        y = y - y.mean(axis=1, keepdims=True)  # small figures keep their digits
        k = np.arange(1, n + 1)
        sx, sxx = np.cumsum(x), np.cumsum(x * x)
        sy, syy, sxy = np.cumsum(y, axis=1), np.cumsum(y * y, axis=1), np.cumsum(x * y, axis=1)
        spread = sxx - sx * sx / k
        with np.errstate(divide="ignore", invalid="ignore"):
            shared = (sxy - sx * sy / k) ** 2 / spread
        return np.maximum(syy - sy * sy / k - np.where(spread > 0, shared, 0.0), 0.0)

    before, after = left_over(rows), left_over(rows[:, ::-1])
    two = before[:, ends - 1] + after[:, n - ends - 1]
    one = before[:, [-1]]
    found: Table = ((one - two) / 2) / np.maximum(two / (n - 4), 1e-18)
    return found
