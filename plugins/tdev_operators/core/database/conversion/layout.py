"""Which partitions a table is cut into: lists of values, and below each of them spans of time. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from tdev_operators.core.backup.database.names import distinct
from tdev_operators.core.database.retention.ahead import rest_name
from tdev_operators.core.database.retention.rules import RowClass
from tdev_operators.core.database.retention.settings import PartitionRule
from tdev_operators.core.database.retention.spans import Span, groups_of, part_name, spans_of
from tdev_operators.core.errors import InputError

MOST = 600  # partitions: planning a statement, and the locks of a dump, grow with them


@dataclass(frozen=True, slots=True)
class Part:
    """One partition to make. With neither `values` nor `span` it is the net for what fits nowhere else."""

    name: str
    parent: str
    values: tuple[str, ...] = ()
    span: Span | None = None


def layout(
    table: str, new: str, rule: PartitionRule, classes: Sequence[RowClass], now: datetime, oldest: datetime | None
) -> tuple[Part, ...]:
    """Return the partitions in the order in which they are made: each behind its parent.

    Raises:
        InputError: they would be too many.
    """
    parts = tuple(_parts(table, new, rule, classes, now, oldest))
    if len(parts) > MOST:
        raise InputError(
            f"{table} would get {len(parts)} partitions, and more than {MOST} slow every statement down; choose a "
            "longer partitions.step, or fewer days."
        )
    return parts


def _parts(
    table: str, new: str, rule: PartitionRule, classes: Sequence[RowClass], now: datetime, oldest: datetime | None
) -> Iterator[Part]:
    for group in groups_of(rule, classes):
        name = distinct(f"{table}_{'_'.join(group.values)}", "")
        yield Part(name, new, values=group.values)
        for span in spans_of(rule, group, now, oldest):
            yield Part(part_name(name, span), name, span=span)
        yield Part(rest_name(name), name)
    yield Part(rest_name(table), new)
