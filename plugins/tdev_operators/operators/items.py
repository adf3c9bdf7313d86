"""An item of the calendar as a task group: `due >> work >> report >> judge`, and `work >> judge`.

    with Item(CALENDAR, "health_check") as health_check:
        HealthCheckOperator(task_id="check")

`due` skips the group, and nothing else, when the run does not do the item. `report` always speaks (`all_done`). `judge`
has no retries and fails on CRITICAL or UNKNOWN, so that a red verdict is a red run.
"""

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk import TaskGroup
from airflow.sdk.bases.skipmixin import SkipMixin

from tdev_operators.core.calendar_slots import PRIORITY_WEIGHTS, Calendar
from tdev_operators.core.errors import TargetUnreachableError
from tdev_operators.operators.base import MaintenanceOperator, ref_of, task_ports
from tdev_operators.operators.deadlines import announce_unwritten_report
from tdev_operators.operators.links import ReportLink
from tdev_operators.operators.schedule import ITEMS

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import TracebackType

    from airflow.sdk import BaseOperator, Context


class Item(TaskGroup):
    """The task group of one item; what is put inside it is the item's work.

    Tasks inside get the calendar's weight and owner, one run at a time, and twice the planned time before they are
    killed (the deadline alert comes first).
    """

    calendar: Calendar

    def __init__(self, calendar: Calendar, name: str, *, follows: "Item | None" = None, **kwargs: Any) -> None:
        """Open the group. One that `follows` another item is done after that one's report, however it ended."""
        slot = calendar.items[name]
        for_the_work: dict[str, Any] = {
            "owner": slot.owner,
            "priority_weight": PRIORITY_WEIGHTS[slot.priority],
            "max_active_tis_per_dag": 1,
            "execution_timeout": 2 * slot.duration,
        }
        tooltip = f"{slot.cron} UTC, {slot.minutes} min, {slot.priority}, {slot.owner}"
        super().__init__(group_id=name, tooltip=tooltip, default_args=for_the_work, **kwargs)  # type: ignore[arg-type]
        self.calendar = calendar
        self.name = name
        self.follows = follows

    def __enter__(self) -> Self:
        """Open the group: what is made until it is closed is the item's work."""
        super().__enter__()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: "TracebackType | None"
    ) -> None:
        """Put the frame around the work, unless building it failed."""
        if exc_type is None:
            work = list(self.children.values())
            first = [task for task in work if not task.upstream_task_ids]
            last = [task for task in work if not task.downstream_task_ids]
            frame: dict[str, Any] = {"tier": self.calendar.tier, "item": self.name, "max_active_tis_per_dag": None}
            rule = "all_done" if self.follows else "all_success"
            due = DueOperator(task_id="due", calendar=self.calendar, trigger_rule=rule, **frame)
            report = ReportOperator(task_id="report", **frame)
            judge = JudgeOperator(task_id="judge", **frame)
            due >> first
            last >> report >> judge
            last >> judge
            if self.follows:
                # Behind the report, not the judge: that stays a last task of the run, which is red when it fails.
                self.follows.children[f"{self.follows.group_id}.report"] >> due
        super().__exit__(exc_type, exc, tb)  # type: ignore[no-untyped-call]

    def get_leaves(self) -> "Generator[BaseOperator, None, None]":
        """Yield what must be over before anything behind the item starts: the report outlives a failed work."""
        yield from (task for task in self if task.task_id.endswith((".report", ".judge")))


class _ItemOperator(MaintenanceOperator):
    """A task of an item's frame."""

    def __init__(self, *, tier: str, item: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tier = tier
        self.item = item


class DueOperator(_ItemOperator, SkipMixin):
    """Skips the item's group when the run does not do the item; fails with one sentence when `tdev init` is due."""

    ui_color = "#e8eef7"

    def __init__(self, *, calendar: Calendar, **kwargs: Any) -> None:
        super().__init__(**{"execution_timeout": timedelta(minutes=2), **kwargs})
        self.calendar = calendar

    def execute(self, context: "Context") -> None:
        """Decide from the slot (scheduled) or the form (manual).

        Raises:
            InputError: the form chose nothing, or something unknown.
            SetupMissingError: the ledger or this item's calendar entry is missing.
        """
        dag_run = context["dag_run"]
        items = self.calendar.items_of_run(
            run_type=dag_run.run_type.value, logical_date=dag_run.logical_date, chosen=context["params"].get(ITEMS)
        )
        if self.item not in items:
            self.log.info("This run does %s, not %s.", ", ".join(items) or "nothing", self.item)
            group = self.task_group
            self.skip(context["ti"], [task for task in group or () if task.task_id != self.task_id])
            return
        slot = self.calendar.items[self.item]
        task_ports().ledger.require_setup(tier=self.calendar.tier, item=self.item, cron=slot.cron)


class ReportOperator(_ItemOperator):
    """Writes the item's report, whatever happened to the work, and sends the alerts that it calls for."""

    ui_color = "#f4f1e6"
    operator_extra_links = (ReportLink(),)

    def __init__(self, *, tier: str, item: str, **kwargs: Any) -> None:
        super().__init__(
            tier=tier,
            item=item,
            trigger_rule="all_done",
            on_failure_callback=partial(announce_unwritten_report, tier=tier, item=item),
            **{"execution_timeout": timedelta(minutes=5), **kwargs},
        )

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return small JSON: the report's id, the verdict, counts by verdict, alerts sent."""
        from tdev_operators.core.reporting.runs import report_item  # noqa: PLC0415  not while parsing

        ports = task_ports()
        ref = ref_of(context, tier=self.tier, item=self.item)
        return report_item(ports.ledger, ports.channels, ports.settings, ref, now=ports.clock(), readers=ports.readers)


class JudgeOperator(_ItemOperator):
    """Turns the verdict into the task's state: red on CRITICAL and UNKNOWN, green with a note on WARNING."""

    ui_color = "#f7e8e8"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"retries": 0, "execution_timeout": timedelta(minutes=2), **kwargs})

    def execute(self, context: "Context") -> str:
        """Return the note of a green verdict.

        Raises:
            RedVerdictError: the verdict is CRITICAL or UNKNOWN, or none was recorded.
        """
        from tdev_operators.core.reporting.runs import judge_item  # noqa: PLC0415  not while parsing

        return judge_item(task_ports().ledger, ref_of(context, tier=self.tier, item=self.item))


class CloseRunOperator(MaintenanceOperator):
    """Ends a tier's run: replays what was spooled, sends reminders that are due, pings the dead-man's switch.

    Make it the run's teardown: it then always runs, and does not hide a red judge from the run's state. While a channel
    is down it tries again, for about an hour: the next run of the tier may be a day away.
    """

    def __init__(self, *, calendar: Calendar, **kwargs: Any) -> None:
        super().__init__(**{"retries": 8, "retry_delay": timedelta(minutes=1), **kwargs})
        self.calendar = calendar

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return small JSON: what was replayed, sent and pinged.

        Raises:
            TargetUnreachableError: messages wait for a channel that is down.
        """
        from tdev_operators.core.reporting.runs import close_run  # noqa: PLC0415  not while parsing

        ports = task_ports()
        run = context["dag_run"]
        closed = close_run(
            ports.ledger,
            ports.channels,
            ports.settings,
            self.calendar.tier,
            run.dag_id,
            run.run_id,
            now=ports.clock(),
            heartbeat=ports.heartbeat,
            readers=ports.readers,
        )
        if closed["waiting"]:
            raise TargetUnreachableError(f"{closed['waiting']} messages wait: {' '.join(closed['problems'])}")
        return closed
