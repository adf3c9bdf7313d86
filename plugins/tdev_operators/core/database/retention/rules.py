"""Which row goes when. Pure: the moment is given, once, by the database's own clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from tdev_operators.core.database.retention.settings import RetentionRule
from tdev_operators.core.errors import InputError


class Fate(StrEnum):
    """What becomes of a row."""

    KEPT = "kept"
    ARCHIVED = "archived"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class RowClass:
    """Rows with one fate from `cut_off` (aware, UTC) back: those whose `column` has the `value`, or the others."""

    cut_off: datetime
    archive: bool
    column: str = ""
    value: str = ""

    @property
    def fate(self) -> Fate:
        """What becomes of its rows when their time has come."""
        return Fate.ARCHIVED if self.archive else Fate.DISCARDED

    @property
    def told(self) -> str:
        """The class in words: `importance = 'high' before 2026-08-31 09:00:00 UTC: archived`."""
        who = f"{self.column} = {self.value!r}" if self.column else "all others"
        return f"{who} before {self.cut_off:%Y-%m-%d %H:%M:%S} UTC: {self.fate}"


def classes_of(rule: RetentionRule, now: datetime) -> tuple[RowClass, ...]:
    """Return a rule's classes: the exceptions in order, then the rule itself. A day is 24 hours, whatever a zone does.

    Raises:
        InputError: the moment has no time zone.
    """
    if now.tzinfo is None:
        raise InputError("The moment that rows are held against has no time zone; give one in UTC.")
    now = now.astimezone(UTC)
    exceptions = tuple(
        RowClass(now - timedelta(days=one.days), one.archive, one.column, one.value) for one in rule.exceptions
    )
    return (*exceptions, RowClass(now - timedelta(days=rule.days), rule.archive))


def class_of(classes: tuple[RowClass, ...], values: Mapping[str, Any]) -> RowClass:
    """Return the class of a row: the first exception that fits, else the rule. NULL fits no exception."""
    return next((one for one in classes if not one.column or values.get(one.column) == one.value), classes[-1])


def fate_of(classes: tuple[RowClass, ...], moment: datetime | None, values: Mapping[str, Any]) -> Fate:
    """Return what becomes of a row with this time (aware) and these values. Without a time it is kept, for good."""
    found = class_of(classes, values)
    return found.fate if moment is not None and moment < found.cut_off else Fate.KEPT
