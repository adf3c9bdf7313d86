"""The maintenance calendar: which items of a tier are due in which slot. Pure functions of time.

An item has a cron expression, in UTC. A tier's slots are all the moments that any of its items names; one run serves
one slot, and the slot alone decides the items. Nothing here remembers what ran: clearing a run repeats its items.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from croniter import croniter

from tdev_operators.core.errors import InputError

Priority = Literal["critical", "high", "medium"]

# Absolute Airflow weights: a critical item goes before any number of lesser ones when slots are short.
PRIORITY_WEIGHTS: Mapping[Priority, int] = {"critical": 100, "high": 50, "medium": 10}


@dataclass(frozen=True, slots=True)
class Slot:
    """When an item is due (`cron`, UTC), how long it may take, how much it matters, who owns it (guide: Schedule)."""

    cron: str
    minutes: int
    priority: Priority
    owner: str

    def __post_init__(self) -> None:
        if not croniter.is_valid(self.cron) or len(self.cron.split()) != 5:  # noqa: PLR2004  five fields, no seconds
            raise InputError(f"{self.cron!r} is not a cron expression of five fields; write for example '0 9 * * *'.")
        if self.minutes < 1:
            raise InputError(f"An item cannot be done in {self.minutes} minutes; give at least 1.")

    @property
    def duration(self) -> timedelta:
        """The time in which the item should be done: its deadline counts from when the run was queued."""
        return timedelta(minutes=self.minutes)


@dataclass(frozen=True, slots=True)
class Calendar:
    """One tier: its name, its items in the order of the day, and the period after which a missed slot is let go."""

    tier: str
    period_days: int
    items: Mapping[str, Slot]

    def __post_init__(self) -> None:
        if not self.items:
            raise InputError(f"The {self.tier} calendar has no item; give it at least one.")

    @property
    def period(self) -> timedelta:
        """How far back missed slots are replayed."""
        return timedelta(days=self.period_days)

    def items_of_run(self, *, run_type: str, logical_date: datetime | None, chosen: object) -> tuple[str, ...]:
        """Return the items that a run does: those of its slot when it was scheduled, else those that a person chose.

        Raises:
            InputError: nothing or something unknown was chosen, the slot is none of the calendar's, or the run is of a
                kind that the tiers do not serve.
        """
        if run_type == "scheduled":
            if logical_date is None:
                raise InputError(
                    "A scheduled run without a logical date has no slot; let the scheduler start the tier."
                )
            due = tuple(name for name, slot in self.items.items() if is_slot(slot.cron, logical_date))
            if not due:
                raise InputError(
                    f"No {self.tier} item is due at {logical_date:%H:%M} UTC: the calendar changed since this slot; "
                    "trigger the tier by hand."
                )
            return due
        if run_type != "manual":
            raise InputError(
                f"A {run_type} run would repeat maintenance of the past; trigger the tier by hand instead."
            )
        known = ", ".join(self.items)
        if not isinstance(chosen, list | tuple) or not chosen:
            raise InputError(f"No item was chosen; choose at least one of: {known}.")
        if strange := [str(name) for name in chosen if name not in self.items]:
            raise InputError(f"The {self.tier} tier has no item {', '.join(strange)}; choose from: {known}.")
        return tuple(name for name in self.items if name in chosen)


def is_slot(cron: str, moment: datetime) -> bool:
    """Whether an aware moment is one of a cron expression's slots."""
    return bool(croniter.match(cron, moment.astimezone(UTC).replace(tzinfo=None)))


def next_slot(crons: Iterable[str], after: datetime) -> datetime:
    """Return the first slot strictly after a moment (aware, UTC)."""
    start = after.astimezone(UTC).replace(tzinfo=None)
    slots: list[datetime] = [croniter(cron, start).get_next(datetime) for cron in crons]
    return min(slots).replace(tzinfo=UTC)


# The scheduler and the DAG processor both compute "the next slot", at their own moments: without this grace a parse
# that falls between 09:00:00 and the creation of the 09:00 run would skip the very first slot of a fresh system.
FIRST_SLOT_GRACE = timedelta(minutes=1)


def slot_to_run(
    crons: Iterable[str], *, last_slot: datetime | None, now: datetime, period: timedelta, earliest: datetime | None
) -> datetime:
    """Return the slot that the scheduler shall run next: a missed one, in order, or the next to come.

    `last_slot` is the slot of the latest scheduled run (None: this tier has never run, so nothing was missed).
    A slot older than `period` is let go, and none before `earliest` is run.
    """
    after = now - FIRST_SLOT_GRACE if last_slot is None else max(last_slot, now - period)
    if earliest is not None:
        after = max(after, earliest - timedelta(microseconds=1))
    return next_slot(crons, after)
