"""What becomes of one figure: its growth, when it meets its limit, how bad that is, and its picture. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from tdev_operators.core.database.capacity.settings import CapacitySettings
from tdev_operators.core.database.capacity.trend import DAY, Trend, fit
from tdev_operators.core.health.findings import judge
from tdev_operators.core.reporting.wording import number, rounded
from tdev_operators.core.series import Foreseen, Point, Series, thinned
from tdev_operators.core.verdicts import Verdict

_DRAWN = 30  # points of a forecast
_UNITS = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
# Points that a line and its band need, however many days lie between the first and the last.
_FEWEST_POINTS = 7
_SHARE = "%"
# Of its size in 30 days: less is no growth that anybody has to read of.
_LEVEL = 0.005
_WHOLE = 100.0


@dataclass(frozen=True, slots=True)
class Figure:
    """What is foretold: `points` are one a day, the oldest first; `limit` is in the same unit."""

    name: str
    unit: str
    points: tuple[Point, ...]
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """What becomes of a figure. `reached` is when the line meets the limit, `earliest` when the band does."""

    figure: Figure
    trend: Trend
    end: Foreseen
    verdict: Verdict
    reached: datetime | None
    earliest: datetime | None
    sentence: str
    series: Series

    @property
    def days_left(self) -> float | None:
        """Days from the newest point to the limit; None where it is not met within the horizon."""
        return None if self.reached is None else (self.reached - self.trend.origin) / DAY

    @property
    def stays_level(self) -> bool:
        """Whether it goes nowhere."""
        return _stays_level(self.trend)


def in_bytes(name: str, points: Sequence[Point], limit_bytes: float | None = None, per: str = "") -> Figure:
    """Return a figure of bytes in the unit that its size asks for."""
    largest = max((abs(point.value) for point in points), default=0.0)
    unit, scale = next(((unit, scale) for unit, scale in _UNITS if largest >= scale), ("kB", 1e3))
    scaled = tuple(Point(point.when, point.value / scale) for point in points)
    return Figure(name, unit + per, scaled, None if limit_bytes is None else limit_bytes / scale)


def shortage(figure: Figure, settings: CapacitySettings, now: datetime) -> str:
    """Return why nothing can be foretold of the figure, with how much is missing; empty when it can."""
    if not figure.points:
        return f"not enough history: {settings.minimum_days} days are missing, there is no sample"
    old = (now - figure.points[-1].when) / DAY
    if old > settings.stale_days:
        return f"the newest sample is {old:.0f} days old; performance_analysis takes one each day"
    missing = math.ceil(settings.minimum_days - (figure.points[-1].when - figure.points[0].when) / DAY - 0.01)
    if missing > 0:
        days = "day is" if missing == 1 else "days are"
        return f"not enough history: {missing} {days} missing of the {settings.minimum_days} that it takes"
    if len(figure.points) < _FEWEST_POINTS:
        return f"not enough history: {len(figure.points)} samples, {_FEWEST_POINTS} are needed"
    return ""


def outlook(figure: Figure, settings: CapacitySettings) -> Outlook:
    """Foretell a figure that has enough history (`shortage`)."""
    trend = fit(figure.points)
    ahead = [
        _bounded(trend.foreseen(trend.origin + day * DAY, settings.confidence_percent), figure.unit)
        for day in range(settings.horizon_days + 1)
    ]
    limit = math.inf if figure.limit is None else figure.limit
    newest = figure.points[-1]
    over = newest.value >= limit and ahead[0].high >= limit
    reached = newest.when if over else _first(ahead, [each.expected for each in ahead], limit)
    earliest = newest.when if over else _first(ahead, [each.high for each in ahead], limit)
    return Outlook(
        figure=figure,
        trend=trend,
        end=ahead[-1],
        verdict=_verdict(trend, reached, earliest, settings),
        reached=reached,
        earliest=earliest,
        sentence=_sentence(figure, trend, ahead[-1], reached, earliest, over=over),
        series=_series(figure, trend, ahead, reached),
    )


def _first(ahead: Sequence[Foreseen], values: Sequence[float], limit: float) -> datetime | None:
    return next((each.when for each, value in zip(ahead, values, strict=True) if value >= limit), None)


def _bounded(foreseen: Foreseen, unit: str) -> Foreseen:
    if unit != _SHARE:
        return foreseen
    figures = (foreseen.expected, foreseen.low, foreseen.high)
    return Foreseen(foreseen.when, *(min(value, _WHOLE) for value in figures))


def _verdict(trend: Trend, reached: datetime | None, earliest: datetime | None, settings: CapacitySettings) -> Verdict:
    """Judge by the line; by the band only where the line goes there too: a figure that wavers is not on its way."""
    if reached is None:
        return Verdict.OK
    soon = earliest is not None and (earliest - trend.origin) / DAY < settings.days_left.critical
    by_line = judge((reached - trend.origin) / DAY, settings.days_left)
    return max(by_line, Verdict.WARNING if soon else Verdict.OK, key=lambda verdict: verdict.badness)


def _sentence(
    figure: Figure, trend: Trend, end: Foreseen, reached: datetime | None, earliest: datetime | None, *, over: bool
) -> str:
    def told(value: float) -> str:
        return f"{number(rounded(value))} {figure.unit}".strip()

    now = f"{figure.name} is at {told(figure.points[-1].value)}"
    month = rounded(trend.slope * 30)
    pace = (
        "stays level"
        if _stays_level(trend)
        else f"{'grows' if month > 0 else 'shrinks'} by {told(abs(month))} in 30 days"
    )
    band = f"{told(end.expected)} ({number(rounded(end.low))} to {number(rounded(end.high))}) on {end.when:%Y-%m-%d}"
    if figure.limit is None:
        return f"{now} and {pace}: {band}."
    limit = told(figure.limit)
    if over:
        return f"{now}: the limit of {limit} is reached."
    if reached is not None:
        days = (reached - trend.origin) / DAY
        not_before = f", not before {earliest:%Y-%m-%d}" if earliest else ""
        return f"{now} and {pace}: it reaches {limit} on {reached:%Y-%m-%d}, in {days:.0f} days{not_before}."
    if earliest is not None:
        return f"{now} and {pace}: it could reach {limit} from {earliest:%Y-%m-%d} on; expected is {band}."
    return f"{now} and {pace}: {limit} is not reached within {(end.when - trend.origin) / DAY:.0f} days; {band}."


def _stays_level(trend: Trend) -> bool:
    return abs(trend.slope * 30) <= _LEVEL * abs(trend.level)


def _series(figure: Figure, trend: Trend, ahead: Sequence[Foreseen], reached: datetime | None) -> Series:
    """Draw as far ahead as is looked back twice, or a little beyond the limit: further, the band hides everything."""
    shown = 2 * trend.days if reached is None else max(1.5 * ((reached - trend.origin) / DAY), _DRAWN)
    last = min(len(ahead) - 1, int(shown))
    places = sorted({round(place * last / _DRAWN) for place in range(_DRAWN + 1)})
    return Series(
        name=figure.name,
        unit=figure.unit,
        points=thinned(figure.points),
        forecast=tuple(ahead[place] for place in places),
        limit=figure.limit,
    )


def daily(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return the last point of each day (UTC), the oldest first: a day that was sampled twice counts once."""
    by_day = {point.when.date(): point for point in sorted(points, key=lambda point: point.when)}
    return tuple(by_day.values())


def rates(points: Sequence[Point], *, at_least: timedelta = timedelta(hours=12)) -> tuple[Point, ...]:
    """Return what a counter grew by, a day, between each two points; where it became smaller it was begun anew."""
    found: list[Point] = []
    for before, after in pairwise(points):
        if after.value >= before.value and after.when - before.when >= at_least:
            found.append(Point(after.when, (after.value - before.value) / ((after.when - before.when) / DAY)))
    return tuple(found)
