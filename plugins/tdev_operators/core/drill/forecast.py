"""How long a recovery would take now: seconds for each phase by its size, from what past drills measured. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

GB = 1e9
_NEEDED_FOR_A_LINE = 2
_FORESIGHT = 10  # times as far ahead as back

# What a phase's time grows with. Phases that are not named here take as long whatever the size.
_BY_DATABASE = frozenset({"globals", "pre_data", "data", "post_data", "analyze", "verify", "fetch"})
_BY_OBJECTS = frozenset({"buckets", "references"})


@dataclass(frozen=True, slots=True)
class Size:
    """What there is to restore: bytes of all databases before compression, and objects of all buckets."""

    database_bytes: int
    objects: int


@dataclass(frozen=True, slots=True)
class Timed:
    """One drill: its size, and seconds by phase."""

    size: Size
    phases: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Line:
    """`seconds = fixed + per_unit * units`; neither is negative."""

    fixed: float
    per_unit: float

    def at(self, units: float) -> float:
        """Return the seconds for so many units."""
        return self.fixed + self.per_unit * units


def fit(points: Sequence[tuple[float, float]]) -> Line:
    """Return the least-squares line through (units, seconds) that is nowhere negative and never falls.

    One size only: all of it is taken to grow with the size, which errs on the safe side when there is more to restore.
    """
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if len(points) < _NEEDED_FOR_A_LINE or spread == 0:
        return Line(0.0, mean_y / mean_x) if mean_x else Line(mean_y, 0.0)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    if slope <= 0:
        return Line(max(y for _, y in points), 0.0)
    fixed = mean_y - slope * mean_x
    if fixed >= 0:
        return Line(fixed, slope)
    return Line(0.0, sum(x * y for x, y in points) / sum(x * x for x, _ in points))


def model(history: Sequence[Timed]) -> dict[str, Line]:
    """Return each phase's line: its units are GB of database, thousands of objects, or none."""
    phases = dict.fromkeys(phase for timed in history for phase in timed.phases)
    return {
        phase: fit([(_units(phase, timed.size), timed.phases[phase]) for timed in history if phase in timed.phases])
        for phase in phases
    }


def forecast(lines: Mapping[str, Line], size: Size) -> dict[str, float]:
    """Return the seconds that each phase would take at a size."""
    return {phase: line.at(_units(phase, size)) for phase, line in lines.items()}


def grown(sizes: Sequence[tuple[datetime, Size]], at: datetime) -> Size:
    """Return the size that is to be expected at a moment, from the sizes so far (one at least): never less than now.

    It looks ahead ten times as far as it can look back, and no further: sets of one hour foretell no month.
    """
    since, newest = max(sizes, key=lambda each: each[0])
    if at - since > _FORESIGHT * (since - min(when for when, _ in sizes)):
        return newest
    return Size(
        max(newest.database_bytes, int(_line_at([(when, size.database_bytes) for when, size in sizes], at))),
        max(newest.objects, int(_line_at([(when, size.objects) for when, size in sizes], at))),
    )


def _line_at(points: Sequence[tuple[datetime, int]], at: datetime) -> float:
    first = min(when for when, _ in points)
    day = timedelta(days=1)
    xs = [(when - first) / day for when, _ in points]
    mean_x, mean_y = sum(xs) / len(xs), sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x in xs)
    if spread == 0:
        return mean_y
    slope = sum((x - mean_x) * (y - mean_y) for x, (_, y) in zip(xs, points, strict=True)) / spread
    return mean_y + slope * ((at - first) / day - mean_x)


def _units(phase: str, size: Size) -> float:
    if phase in _BY_DATABASE:
        return size.database_bytes / GB
    if phase in _BY_OBJECTS:
        return size.objects / 1000
    return 1.0
