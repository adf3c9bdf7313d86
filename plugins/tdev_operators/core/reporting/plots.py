"""A series as a picture: SVG that stands in the page itself, in the page's colours, and that a screen reader can name.

Pure: the same series gives the same picture. Names and units are chosen by strangers and are escaped here.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape

from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.reporting.wording import moment, number
from tdev_operators.core.series import Series

_WIDTH, _HEIGHT = 720, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 14, 24, 30
# A limit further away than this would press everything else flat.
_LIMIT_WITHIN = 2.5
_DOTS_UP_TO = 45
_TICKS = 5
_DAY = timedelta(days=1)
_LABEL_ROOM = 60
_YEARS_APART_DAYS = 300


def sentence(series: Series) -> str:
    """Return the series in one line, for those who see no picture."""
    parts = [f"{series.name}: no point"]
    if series.points:
        first, last = series.points[0], series.points[-1]
        before = f" ({_figure(first.value, series)} on {first.when:%Y-%m-%d})" if len(series.points) > 1 else ""
        parts = [f"{series.name}: {_figure(last.value, series)} on {last.when:%Y-%m-%d}{before}"]
    if series.forecast:
        end = series.forecast[-1]
        band = f"{number(end.low)} to {number(end.high)}"
        parts.append(f"foreseen for {end.when:%Y-%m-%d}: {_figure(end.expected, series)} ({band})")
    if series.limit is not None:
        parts.append(f"limit {_figure(series.limit, series)}")
    return "; ".join(parts)


def svg(series: Series, now: datetime) -> str:
    """Return the picture: what was measured, the line and band that are foreseen, the limit, today; or nothing.

    A series with fewer than two moments has no picture.
    """
    moments = [point.when for point in series.points] + [each.when for each in series.forecast]
    if not moments or max(moments) <= min(moments):
        return ""
    frame = _Frame(min(moments), max(moments), *_value_range(series))
    name = escape(one_line(series.name, 200))
    parts = [
        f'<svg class="series" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{name}">',
        f"<title>{name}</title><desc>{escape(one_line(sentence(series), 400))}</desc>",
        *_grid(frame, series),
        *_foreseen(frame, series),
        *_measured(frame, series),
        *_limit(frame, series),
        *_today(frame, now),
        "</svg>",
    ]
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class _Frame:
    """From moments and figures to places in the picture."""

    start: datetime
    end: datetime
    low: float
    high: float
    step: float

    def x(self, when: datetime) -> float:
        share = (when - self.start) / (self.end - self.start)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    def shows(self, value: float) -> bool:
        return self.low <= value <= self.high


def _value_range(series: Series) -> tuple[float, float, float]:
    """Return where the axis of figures begins and ends, and its steps: round figures, from 0 where that is near."""
    values = [point.value for point in series.points]
    values += [value for each in series.forecast for value in (each.low, each.expected, each.high)]
    low, high = min(values), max(values)
    if series.limit is not None and series.limit <= _LIMIT_WITHIN * max(high, 1e-9):
        low, high = min(low, series.limit), max(high, series.limit)
    if 0 <= low < high / 2:
        low = 0.0
    if high <= low:
        room = (abs(high) or 1.0) * 0.05
        high, low = high + room, low if low == 0 else low - room
    step = _round_step((high - low) / _TICKS)
    return math.floor(low / step) * step, math.ceil(high / step * (1 - 1e-12)) * step, step


def _round_step(rough: float) -> float:
    """Return 1, 2, 2.5 or 5 times a power of ten, the next one up."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(times * power for times in (1, 2, 2.5, 5, 10) if times * power >= rough * (1 - 1e-9))


def _grid(frame: _Frame, series: Series) -> Iterable[str]:
    step = frame.step
    yield f'<text class="soft" x="{_LEFT}" y="12">{escape(one_line(series.unit, 40))}</text>'
    for count in range(round((frame.high - frame.low) / step) + 1):
        value = frame.low + count * step
        y = frame.y(value)
        yield f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>'
        yield f'<text class="soft end" x="{_LEFT - 6}" y="{y + 4:.1f}">{_tick(value, step)}</text>'
    for day, label in _days(frame):
        x = frame.x(day)
        yield f'<line class="grid" x1="{x:.1f}" y1="{_HEIGHT - _BOTTOM}" x2="{x:.1f}" y2="{_HEIGHT - _BOTTOM + 5}"/>'
        yield f'<text class="soft middle" x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 19}">{label}</text>'


def _days(frame: _Frame) -> list[tuple[datetime, str]]:
    """Return some midnights, evenly apart, with their names; none so near the edge that its name would be cut."""
    whole = frame.end - frame.start
    apart = max(1, math.ceil(whole / _DAY / (_TICKS + 1)))
    form = "%Y-%m-%d" if whole > _YEARS_APART_DAYS * _DAY else "%d %b"
    day = frame.start.replace(hour=0, minute=0, second=0, microsecond=0) + _DAY
    found: list[tuple[datetime, str]] = []
    while day <= frame.end:
        if frame.x(day) <= _WIDTH - _RIGHT - _LABEL_ROOM / 4:
            found.append((day, day.strftime(form)))
        day += apart * _DAY
    return found or [(frame.start, f"{frame.start:%H:%M}")]


def _foreseen(frame: _Frame, series: Series) -> Iterable[str]:
    if not series.forecast:
        return
    above = [(frame.x(each.when), frame.y(each.high)) for each in series.forecast]
    below = [(frame.x(each.when), frame.y(each.low)) for each in reversed(series.forecast)]
    yield f'<path class="band" d="{_path(above + below)}Z"/>'
    line = [(frame.x(each.when), frame.y(each.expected)) for each in series.forecast]
    yield f'<path class="expected" d="{_path(line)}"/>'


def _measured(frame: _Frame, series: Series) -> Iterable[str]:
    places = [(frame.x(point.when), frame.y(point.value)) for point in series.points]
    if not places:
        return
    yield f'<path class="measured" d="{_path(places)}"/>'
    if len(places) <= _DOTS_UP_TO:
        for (x, y), point in zip(places, series.points, strict=True):
            told = escape(one_line(f"{moment(point.when)}: {_figure(point.value, series)}", 200))
            yield f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="2.4"><title>{told}</title></circle>'


def _limit(frame: _Frame, series: Series) -> Iterable[str]:
    if series.limit is None:
        return
    told = escape(one_line(f"limit {_figure(series.limit, series)}", 60))
    if not frame.shows(series.limit):
        above = "above" if series.limit > frame.high else "below"
        yield f'<text class="limit end" x="{_WIDTH - _RIGHT}" y="12">{told}, {above} this picture</text>'
        return
    y = frame.y(series.limit)
    yield f'<line class="limit" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>'
    beside = y - 5 if y - 5 > _TOP - 8 else y + 14
    yield f'<text class="limit" x="{_LEFT + 6}" y="{beside:.1f}">{told}</text>'


def _today(frame: _Frame, now: datetime) -> Iterable[str]:
    if not frame.start <= now <= frame.end:
        return
    x = frame.x(now)
    yield f'<line class="today" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{_HEIGHT - _BOTTOM}"/>'
    at_the_edge = x > _WIDTH - _RIGHT - _LABEL_ROOM
    side, beside = ("soft end", x - 5) if at_the_edge else ("soft", x + 5)
    yield f'<text class="{side}" x="{beside:.1f}" y="{_HEIGHT - _BOTTOM - 6}">today</text>'


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)


def _figure(value: float, series: Series) -> str:
    return f"{number(value)} {series.unit}".strip()


def _tick(value: float, step: float) -> str:
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    places = digits if math.isclose(round(step, digits), step, rel_tol=1e-6) else digits + 1
    return f"{value:,.{places}f}"
