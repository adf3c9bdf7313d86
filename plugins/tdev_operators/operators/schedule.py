"""The maintenance calendar for Airflow: the timetable that replays missed slots, deadlines by item, the trigger form.

This is the one module of the Airflow layer that reaches below `airflow.sdk`: a timetable and a deadline reference are
evaluated inside the scheduler, which has no public interface for either (Airflow 3.3).
"""

import logging
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self

from airflow.sdk import Param
from airflow.sdk.definitions.callback import SyncCallback
from airflow.sdk.definitions.deadline import BaseDeadlineReference, DeadlineAlert
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.trigger import MultipleCronTriggerTimetable
from pendulum import UTC, instance

from tdev_operators.core.calendar_slots import Calendar, Slot, is_slot, slot_to_run
from tdev_operators.core.ports import utc_now

if TYPE_CHECKING:
    from airflow.models.dag import DagModel
    from sqlalchemy.orm import Session

log = logging.getLogger(__name__)

# FAB adds these rights to the roles that `tdev init` makes; a person has Viewer and one of them.
MAY_START = {
    role: {"DAGs": {"can_read", "can_edit"}, "DAG Runs": {"can_create", "can_read"}}
    for role in ("engineer", "team_lead")
}

# What replaces a live system is for team leads; the tasks ask the settings as well.
LEADS_MAY_START = {"team_lead": MAY_START["team_lead"]}

ITEMS = "items"  # the key of a manual run's choice, in its params and conf


class CalendarTimetable(MultipleCronTriggerTimetable):
    """One run a slot of the calendar; slots that passed while nobody looked are run late, in order.

    Airflow's own timetables with `catchup=False` drop a slot that passes while the scheduler is down or while
    `max_active_runs` is reached. This one returns the slot after the latest run, unless it is older than one period of
    the tier. A tier that has never run has missed nothing: unpausing it starts at the next slot.
    """

    def __init__(self, calendar: Calendar) -> None:
        self.calendar = calendar
        self._crons = tuple(slot.cron for slot in calendar.items.values())
        super().__init__(*self._crons, timezone="UTC")
        self.description = "; ".join(f"{name}: {slot.cron} UTC" for name, slot in calendar.items.items())

    def serialize(self) -> dict[str, Any]:
        return {
            "tier": self.calendar.tier,
            "period_days": self.calendar.period_days,
            "items": [{"name": name, **asdict(slot)} for name, slot in self.calendar.items.items()],
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Self:
        items = {item["name"]: Slot(**{k: v for k, v in item.items() if k != "name"}) for item in data["items"]}
        return cls(Calendar(data["tier"], data["period_days"], items))

    @property
    def summary(self) -> str:
        return ", ".join(dict.fromkeys(self._crons))

    def next_run_info_from_dag_model(self, *, dag_model: "DagModel") -> DagRunInfo | None:
        # The scheduler runs the slot that was stored when the DAG was last parsed. After an outage of the whole machine
        # that may be days ago: what is older than a period is let go here too.
        stored = super().next_run_info_from_dag_model(dag_model=dag_model)
        now = utc_now()
        if stored is None or stored.run_after > now - self.calendar.period:
            return stored
        slot = slot_to_run(self._crons, last_slot=stored.run_after, now=now, period=self.calendar.period, earliest=None)
        return DagRunInfo.exact(instance(slot, tz=UTC)) if slot <= now else stored

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        if restriction.catchup:  # how the calendar view and the command line list slots: all of them, in order
            return super().next_dagrun_info(
                last_automated_data_interval=last_automated_data_interval, restriction=restriction
            )
        slot = slot_to_run(
            self._crons,
            last_slot=last_automated_data_interval and last_automated_data_interval.end,
            now=utc_now(),
            period=self.calendar.period,
            earliest=restriction.earliest,
        )
        if restriction.latest is not None and slot > restriction.latest:
            return None
        return DagRunInfo.exact(instance(slot, tz=UTC))


@dataclass(eq=False)
class ItemQueuedDeadline(BaseDeadlineReference):
    """The moment from which an item's time counts: when its run was queued; None in a run that does not do the item.

    The scheduler evaluates it while it creates the run, so it reads the dag_run row and nothing else, and never raises:
    an exception here would keep the run from being created.
    """

    item: str = ""
    cron: str = ""

    required_kwargs: ClassVar[set[str]] = {"dag_id", "run_id"}

    def serialize_reference(self) -> dict[str, Any]:
        return {**super().serialize_reference(), "item": self.item, "cron": self.cron}

    @classmethod
    def deserialize_reference(cls, reference_data: dict[str, Any]) -> Self:
        return cls(item=reference_data["item"], cron=reference_data["cron"])

    def _evaluate_with(self, *, session: "Session", dag_id: str, run_id: str) -> datetime | None:
        try:
            from airflow.models.dagrun import DagRun  # noqa: PLC0415  only the scheduler has the models at hand
            from sqlalchemy import select  # noqa: PLC0415

            columns = (DagRun.run_type, DagRun.logical_date, DagRun.conf, DagRun.queued_at)
            row = session.execute(
                select(*columns).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
            ).one_or_none()
            if row is None or not self._is_done_in(row.run_type, row.logical_date, row.conf):
                return None
            return row.queued_at or utc_now()
        except Exception:
            log.exception("The deadline of %s in %s %s is not watched.", self.item, dag_id, run_id)
            return None

    def _is_done_in(self, run_type: str, logical_date: datetime | None, conf: object) -> bool:
        if run_type == "scheduled":
            return logical_date is not None and is_slot(self.cron, logical_date)
        chosen = conf.get(ITEMS) if isinstance(conf, dict) else None
        return chosen is None or (isinstance(chosen, list) and self.item in chosen)


def item_deadlines(calendar: Calendar) -> list[DeadlineAlert]:
    """Return one named deadline alert an item, in force only in the runs that do the item."""
    return [
        DeadlineAlert(
            name=name,
            reference=ItemQueuedDeadline(item=name, cron=slot.cron),
            interval=timedelta(minutes=slot.minutes),
            callback=SyncCallback(
                "tdev_operators.operators.deadlines.announce_missed_deadline",
                kwargs={"item": name},
            ),
        )
        for name, slot in calendar.items.items()
    ]


def item_form(calendar: Calendar) -> dict[str, Param]:
    """Return the trigger form's field: the items to do now, several or all. Scheduled runs ignore it."""
    names = list(calendar.items)
    return {
        ITEMS: Param(
            names,
            type="array",
            items={"type": "string", "enum": names},
            examples=names,
            minItems=1,
            uniqueItems=True,
            title="Items to do now",
            description="Choose one or more items of the calendar. Scheduled runs do what their slot says instead.",
        )
    }
