"""How a table is cut into partitions: which values go together, and from when to when. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

from tdev_operators.core.backup.database.names import distinct
from tdev_operators.core.database.retention.rules import RowClass, class_of
from tdev_operators.core.database.retention.settings import PartitionRule

REST = "_rest"  # of the partition for what fits into no other one
_DECEMBER = 12


@dataclass(frozen=True, slots=True)
class Span:
    """A partition's time: from `start` up to and without `end`, both aware, in UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Group:
    """Values whose rows go at the same age, and what becomes of their rows."""

    values: tuple[str, ...]
    row_class: RowClass


def groups_of(rule: PartitionRule, classes: Sequence[RowClass]) -> tuple[Group, ...]:
    """Return the values of the settings by their fate, in the settings' order."""
    classes = tuple(classes)

    def place(value: str) -> int:
        return classes.index(class_of(classes, {rule.by: value}))

    ordered = sorted(rule.values, key=place)
    return tuple(Group(tuple(values), classes[at]) for at, values in groupby(ordered, key=place))


def floor_of(step: str, moment: datetime) -> datetime:
    """Return when the day, week (Monday) or month of a moment begins, in UTC."""
    day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if step == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if step == "week" else day


def next_after(step: str, moment: datetime) -> datetime:
    """Return when the next day, week or month begins."""
    start = floor_of(step, moment)
    if step == "month":
        year, month = (start.year + 1, 1) if start.month == _DECEMBER else (start.year, start.month + 1)
        return start.replace(year=year, month=month)
    return start + timedelta(days=7 if step == "week" else 1)


def spans_from(step: str, start: datetime, until: datetime) -> Iterator[Span]:
    """Yield spans from `start` on, each up to the next day, week or month, until one holds `until`."""
    while start <= until:
        end = next_after(step, start)
        yield Span(start, end)
        start = end


def spans_of(rule: PartitionRule, group: Group, now: datetime, oldest: datetime | None) -> tuple[Span, ...]:
    """Return the spans of a group whose rows begin at `oldest`: what is due already shares one."""
    until = now + timedelta(days=rule.ahead_days)
    first = floor_of(rule.step, group.row_class.cut_off)
    if oldest is not None and oldest >= first:
        first = min(floor_of(rule.step, oldest), floor_of(rule.step, now))
    spans = tuple(spans_from(rule.step, first, until))
    if oldest is not None and oldest < first:
        return (Span(floor_of(rule.step, oldest), first), *spans)
    return spans


def part_name(parent: str, span: Span) -> str:
    """Return the name of a partition: its parent's, with the day on which it begins."""
    return distinct(parent, f"_{span.start:%Y%m%d}")
