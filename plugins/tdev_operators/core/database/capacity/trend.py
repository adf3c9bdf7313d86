"""How a figure goes on, and how certain that is: a line that outliers do not bend, and a band around it. Pure.

The line is Theil and Sen's: the median of the slopes between all pairs of points, which holds while less than 29 % of
the points are wrong. A level that changed once and stayed (a retention run, a bulk load) is taken out of the history
and said; levels that change again and again are how this figure goes, and stay in.

The band allows for both ways in which a figure strays: noise around the line, which does not grow with the time ahead,
and days that add up (each day grows by a little more or less than the last), which does. How much they add up is
measured on stretches of a week, in which the pattern of the week cancels out. Only a figure that plainly returns to its
line from one day to the next (connections do) is taken to be noise alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import fmean, median

from scipy.special import stdtrit

from tdev_operators.core.series import Foreseen, Point

DAY = timedelta(days=1)
# Four of five deviations of a normal distribution are smaller than so many standard deviations.
_NORMAL = 1.2816
_OF_FIVE = 0.8
_ROUNDING = 1e-6
# Deviations beyond so many are cut: one wrong day must not widen the band for months.
_CUT = 5.0
_STRETCH_DAYS = 7
# The level is the median of the last seven days: about half of that old.
_LEVEL_DAYS = 3
# Stretches overlap: four days of history tell about as much as one stretch that stands alone. Tried, see the tests.
_DAYS_A_STRETCH = 4
# What a line takes away from the deviations around it, and what skewed days hide; tried as well.
_CAUTION = 1.1
# A step is so many times what four of five days do (most days do little), and at least so much of the whole.
_STEP_TIMES = 6.0
_STEP_SHARE = 0.02
# More steps than this in one direction are no accident.
_ACCIDENTS = 2
# So many points on both sides show whether a level stayed.
_STAYS = 5
_FEWEST = 3
# A figure returns plainly when no more than this is left of a day's deviation on the next, and not by chance either
# (1.3 standard errors more). A little straying under much noise looks nearly so, and must not be called settled.
_MOST_MEMORY = 0.2
_ERRORS = 1.3
_PAIRS = 20
_NEXT_DAY = 1.5
_WEEKS_OF_A_PATTERN = 4


@dataclass(frozen=True, slots=True)
class Step:
    """A level that changed before a sample and stayed: `by` is how much more it is from `when` on."""

    when: datetime
    by: float


@dataclass(frozen=True, slots=True)
class Trend:
    """A figure's course: `level` at `origin` (the newest point), `slope` a day; and what makes it uncertain.

    `noise` is the standard deviation around the line, `drift` that of what a day adds up, `days` how much history both
    rest on; `steps` were taken out of it. Of a figure that is noise alone, what is left is `slope_error`, a day.
    """

    origin: datetime
    level: float
    slope: float
    noise: float
    drift: float
    days: float
    steps: tuple[Step, ...] = ()
    slope_error: float = 0.0

    def expected(self, when: datetime) -> float:
        """Return the figure on the line."""
        return self.level + self.slope * ((when - self.origin) / DAY)

    def foreseen(self, when: datetime, confidence_percent: float) -> Foreseen:
        """Return the figure at a moment, and the band in which it will lie with this confidence. Never below 0."""
        ahead = max((when - self.origin) / DAY, 0.0)
        # The slope is known as well as the days behind it allow.
        days_ahead = (_LEVEL_DAYS + ahead) * (1 + ahead / self.days)
        known = max(self.days - _STRETCH_DAYS, 1.0) / self.days
        turned = (self.slope_error * (ahead + self.days / 2)) ** 2
        spread = math.sqrt((self.noise**2 + self.drift**2 * days_ahead + turned) / known)
        degrees = max(2, int(self.days / _DAYS_A_STRETCH) - 1)
        reach = _CAUTION * float(stdtrit(degrees, 0.5 + confidence_percent / 200)) * spread
        expected = self.expected(when)
        return Foreseen(when, max(expected, 0.0), max(expected - reach, 0.0), max(expected + reach, 0.0))


def fit(points: Sequence[Point]) -> Trend:
    """Fit the course of a figure to points in the order of time: three at least, over some time.

    Raises:
        ValueError: too few points, or all of one moment.
    """
    if len(points) < _FEWEST or points[-1].when <= points[0].when:
        raise ValueError("a course with an uncertainty needs three points and some time between them")
    origin = points[-1].when
    xs = [(point.when - origin) / DAY for point in points]
    raw = [point.value for point in points]
    found = _steps(xs, raw)
    accidents = [step for step in found if sum((step[1] > 0) == (by > 0) for _, by in found) <= _ACCIDENTS]
    ys = _without(raw, accidents)
    slope = _theil_sen(xs, ys)
    left_over = [y - slope * x for x, y in zip(xs, ys, strict=True)]
    # Jumps that stayed in the history are part of what comes, however rare: then nothing is cut.
    cut = len(accidents) == len(found)
    steps = tuple(Step(points[place].when, by) for place, by in accidents)
    level = median(left_over)
    around = [rest - level for rest in left_over]
    memory = _memory(xs, around)
    if memory is not None:
        noise = _deviation(around, cut=cut)
        error = noise * math.sqrt(12 / len(xs) * (1 + memory) / (1 - memory)) / -xs[0]
        return Trend(origin, level, slope, noise, 0.0, -xs[0], steps, error)
    recent = median(rest for x, rest in zip(xs, left_over, strict=True) if x > -_STRETCH_DAYS)
    noise, drift = _uncertainty(xs, left_over, cut=cut)
    return Trend(origin, recent, slope, noise, drift, -xs[0], steps)


def _theil_sen(xs: Sequence[float], ys: Sequence[float]) -> float:
    return median(
        (ys[later] - ys[sooner]) / (xs[later] - xs[sooner])
        for later in range(len(xs))
        for sooner in range(later)
        if xs[later] > xs[sooner]
    )


def _steps(xs: Sequence[float], ys: Sequence[float]) -> list[tuple[int, float]]:
    """Return where a level changed and stayed (the index of the first point after), and by how much."""
    usual = median((y - x) / (b - a) for (a, x), (b, y) in pairwise(zip(xs, ys, strict=True)) if b > a)
    rest = [y - usual * x for x, y in zip(xs, ys, strict=True)]
    jumps = [after - before for before, after in pairwise(rest)]
    by_size = sorted(map(abs, jumps))
    bound = max(_STEP_TIMES * by_size[int(_OF_FIVE * (len(by_size) - 1))], _STEP_SHARE * median(map(abs, ys)), 1e-9)
    found = []
    for place, jump in enumerate(jumps, start=1):
        before, after = rest[max(0, place - _STAYS) : place], rest[place : place + _STAYS]
        if abs(jump) <= bound or len(before) < _STAYS or len(after) < _STAYS:
            continue
        by = median(after) - median(before)
        if by * jump > 0 and abs(by) > abs(jump) / 2:
            found.append((place, by))
    return found


def _without(ys: Sequence[float], steps: Sequence[tuple[int, float]]) -> list[float]:
    """Return the history as if the level of today had held all along."""
    return [y + sum(by for place, by in steps if at < place) for at, y in enumerate(ys)]


def _uncertainty(xs: Sequence[float], left_over: Sequence[float], *, cut: bool) -> tuple[float, float]:
    """Return the standard deviation of the noise and of what a day adds up, from what the line leaves over.

    Noise is how far a day lies from the middle of its week. It is in the other figure too, since a history of weeks
    cannot tell them apart: a band too wide is the smaller mistake.
    """
    noise = _deviation(
        [rest - middle for rest, middle in zip(left_over, _middles(xs, left_over), strict=True)], cut=cut
    )
    stretches = [(later - sooner) / math.sqrt(b - a) for (a, sooner), (b, later) in _apart(xs, left_over)]
    return noise, _deviation(stretches, cut=cut) if stretches else noise


def _memory(xs: Sequence[float], around: Sequence[float]) -> float | None:
    """Return how much of a day's deviation is left on the next, for a figure that plainly returns; None for others."""
    pattern = dict.fromkeys(range(7), 0.0)
    if -xs[0] >= _WEEKS_OF_A_PATTERN * _STRETCH_DAYS:
        pattern = {
            weekday: median([y for x, y in zip(xs, around, strict=True) if round(x) % 7 == weekday] or [0.0])
            for weekday in range(7)
        }
    rest = _within([y - pattern[round(x) % 7] for x, y in zip(xs, around, strict=True)])
    pairs = [(y, next_) for (a, y), (b, next_) in pairwise(zip(xs, rest, strict=True)) if b - a < _NEXT_DAY]
    squares = math.fsum(y * y for y, _ in pairs)
    if len(pairs) < _PAIRS or squares == 0:
        return None
    memory = math.fsum(y * next_ for y, next_ in pairs) / squares
    return max(memory, 0.0) if memory + _ERRORS / math.sqrt(len(pairs)) < _MOST_MEMORY else None


def _middles(xs: Sequence[float], ys: Sequence[float]) -> list[float]:
    """Return for each point the median of the week around it."""
    middles, first, behind = [], 0, 0
    for x in xs:
        while xs[first] < x - _STRETCH_DAYS / 2:
            first += 1
        while behind < len(xs) and xs[behind] <= x + _STRETCH_DAYS / 2:
            behind += 1
        middles.append(median(ys[first:behind]))
    return middles


def _apart(xs: Sequence[float], ys: Sequence[float]) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Return each point with the first one that is a week later."""
    places = list(zip(xs, ys, strict=True))
    pairs, ahead = [], 0
    for x, y in places:
        while ahead < len(places) and xs[ahead] - x < _STRETCH_DAYS - 0.5:
            ahead += 1
        if ahead < len(places):
            pairs.append(((x, y), places[ahead]))
    return pairs


def _deviation(values: Sequence[float], *, cut: bool) -> float:
    """Return the standard deviation around 0, of values cut by `_within` where `cut` says so."""
    kept = _within(values) if cut else values
    return math.sqrt(fmean(value * value for value in kept)) if kept else 0.0


def _within(values: Sequence[float]) -> Sequence[float]:
    """Return deviations with the few that are far out of bounds moved to the bounds.

    The bounds go by what four of five do. Where those do nothing (a table that is loaded now and then), the others are
    no mistakes but all there is, and stay.
    """
    sizes = sorted(map(abs, values))
    bound = _CUT / _NORMAL * sizes[int(_OF_FIVE * (len(sizes) - 1))] if sizes else 0.0
    if bound <= _ROUNDING * max(sizes, default=0.0):
        return values
    return [min(max(value, -bound), bound) for value in values]
