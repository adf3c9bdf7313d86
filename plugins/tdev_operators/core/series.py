"""Figures over time, with what is foreseen of them: part of a result, shown as a plot where one can be seen."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

# A plot is some 600 pixels wide: more points would lie on top of each other, and weigh in every report.
MOST_POINTS = 120


@dataclass(frozen=True, slots=True)
class Point:
    """What was measured at a moment (aware, UTC)."""

    when: datetime
    value: float


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What is expected at a moment, and between which figures it will lie."""

    when: datetime
    expected: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Series:
    """One figure over time, the oldest first, in `unit`; `limit` is what it must not reach, if anything."""

    name: str
    unit: str
    points: tuple[Point, ...]
    forecast: tuple[Foreseen, ...] = ()
    limit: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types only; `from_json` is the inverse. What is no number is left out."""
        return {
            "name": self.name,
            "unit": self.unit,
            "points": [[p.when.isoformat(), p.value] for p in self.points if math.isfinite(p.value)],
            "forecast": [
                [f.when.isoformat(), f.expected, f.low, f.high]
                for f in self.forecast
                if all(map(math.isfinite, (f.expected, f.low, f.high)))
            ],
            "limit": self.limit,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a series from `to_json`'s output."""
        return cls(
            name=data["name"],
            unit=data["unit"],
            points=tuple(Point(datetime.fromisoformat(when), value) for when, value in data["points"]),
            forecast=tuple(Foreseen(datetime.fromisoformat(when), *figures) for when, *figures in data["forecast"]),
            limit=data["limit"],
        )


def thinned(points: Sequence[Point], at_most: int = MOST_POINTS) -> tuple[Point, ...]:
    """Return at most so many of the points (4 at least), in order: the first, the last, and between them the extremes.

    Of each stretch the lowest and the highest stay, so that a spike is still seen.
    """
    if len(points) <= at_most:
        return tuple(points)
    inner = points[1:-1]
    stretches = max(1, (at_most - 2) // 2)
    kept: list[Point] = []
    for number in range(stretches):
        stretch = inner[number * len(inner) // stretches : (number + 1) * len(inner) // stretches]
        by_value = sorted(range(len(stretch)), key=[point.value for point in stretch].__getitem__)
        kept += [stretch[place] for place in sorted({by_value[0], by_value[-1]})]
    return (points[0], *kept, points[-1])
