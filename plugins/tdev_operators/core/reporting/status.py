"""Is the maintenance itself alive? Judged from the ledger alone, so that it can be asked with Airflow dead."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum

from croniter import croniter

from tdev_operators.core.calendar_slots import next_slot
from tdev_operators.core.reporting.alerts import Episode
from tdev_operators.core.verdicts import Verdict

# What starting, waiting for a worker and reporting may add to an item's own time.
GRACE = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class CalendarItem:
    """An item that is expected by its cron expression (UTC). `since` is when it was first expected."""

    tier: str
    item: str
    cron: str
    minutes: int
    priority: str
    owner: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class LastRun:
    """The latest execution of an item; `verdict` is None while it has no end."""

    tier: str
    item: str
    run_id: str
    started_at: datetime
    ended_at: datetime | None
    verdict: Verdict | None
    report_id: str = ""


class Health(IntEnum):
    """The state of the maintenance; the number is the exit status of `tdev status`."""

    WELL = 0
    RED = 1
    OVERDUE = 2
    LEDGER_DOWN = 3


@dataclass(frozen=True, slots=True)
class ItemStatus:
    """One line of the status: an item, its last run, and its slots. `calendar` is None for what is not scheduled."""

    tier: str
    item: str
    calendar: CalendarItem | None
    last: LastRun | None
    next_slot: datetime | None
    overdue_since: datetime | None

    @property
    def is_red(self) -> bool:
        """Whether its last run that ended was red."""
        return self.last is not None and self.last.verdict is not None and self.last.verdict.is_red


@dataclass(frozen=True, slots=True)
class Status:
    """The whole: items, open episodes, and sentences about tiers that are silent."""

    items: tuple[ItemStatus, ...]
    episodes: tuple[Episode, ...]
    silent: tuple[str, ...]

    @property
    def health(self) -> Health:
        """The worst of it: what does not run is worse than what runs and is red."""
        if self.silent or any(item.overdue_since for item in self.items):
            return Health.OVERDUE
        if self.episodes or any(item.is_red for item in self.items):
            return Health.RED
        return Health.WELL


def assess(
    calendar: Iterable[CalendarItem],
    last_runs: Iterable[LastRun],
    heartbeats: dict[str, datetime],
    episodes: Sequence[Episode],
    now: datetime,
) -> Status:
    """Compare what ran with what the calendar expects.

    `heartbeats` has, for each tier, when a run of it was last carried to its end.

    An item is overdue when its last slot is longer ago than it may take plus a grace and nothing started since. A tier
    is silent when no run of it ended since its last slot: its DAG is paused, or nobody schedules. When all are silent
    it is the scheduler.
    """
    expected = {(entry.tier, entry.item): entry for entry in calendar}
    ran = {(run.tier, run.item): run for run in last_runs}
    items = tuple(_item_status(key, expected.get(key), ran.get(key), now) for key in sorted({*expected, *ran}))
    tiers = sorted({entry.tier for entry in expected.values()})
    due = {
        tier: _silent_since([e for e in expected.values() if e.tier == tier], heartbeats.get(tier), now)
        for tier in tiers
    }
    silent = [tier for tier in tiers if due[tier]]
    sentences = []
    for tier in silent:
        last = heartbeats.get(tier)
        seen = f"its last run ended at {last:%Y-%m-%d %H:%M UTC}" if last else "no run of it has ever ended"
        why = (
            "the scheduler is silent"
            if silent == tiers and len(tiers) > 1
            else "its DAG is paused, or nobody schedules"
        )
        sentences.append(f"The {tier} tier was due at {due[tier]:%Y-%m-%d %H:%M UTC}, and {seen}: {why}.")
    return Status(items, tuple(episodes), tuple(sentences))


def _item_status(key: tuple[str, str], entry: CalendarItem | None, last: LastRun | None, now: datetime) -> ItemStatus:
    overdue = None
    if entry:
        slot = _last_slot(entry, now - timedelta(minutes=entry.minutes) - GRACE)
        if slot and (last is None or last.started_at < slot):
            overdue = slot
        elif last and last.ended_at is None and last.started_at + timedelta(minutes=entry.minutes) + GRACE < now:
            overdue = last.started_at  # it began and has no end: hung, or its worker died and nobody said so
    return ItemStatus(*key, entry, last, next_slot([entry.cron], now) if entry else None, overdue)


def _silent_since(entries: Sequence[CalendarItem], heartbeat: datetime | None, now: datetime) -> datetime | None:
    """Return the tier's last slot, when its run should have ended by now and none has."""
    slots = [_last_slot(entry, now - timedelta(minutes=entry.minutes) - GRACE) for entry in entries]
    slot = max((slot for slot in slots if slot), default=None)
    return slot if slot and (heartbeat is None or heartbeat < slot) else None


def _last_slot(entry: CalendarItem, moment: datetime) -> datetime | None:
    """Return the item's last slot at or before a moment; None when it was not expected then yet."""
    # croniter's previous slot is strictly before, and a slot has whole seconds.
    start = moment.astimezone(UTC).replace(tzinfo=None) + timedelta(seconds=1)
    slot = croniter(entry.cron, start).get_prev(datetime).replace(tzinfo=UTC)
    return None if entry.since and slot < entry.since else slot
