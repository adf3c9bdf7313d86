"""A tier with a slot every minute, for the tests: `check`, `due`, `report`, `judge`, `close_run` as in every tier."""

import time
from datetime import UTC, datetime

from airflow.sdk import DAG

from tdev_operators.core.calendar_slots import Calendar, Slot
from tdev_operators.core.items import ItemOutcome
from tdev_operators.core.verdicts import CheckResult, Coverage, Verdict
from tdev_operators.operators.approval import WindowApprovalOperator
from tdev_operators.operators.items import CloseRunOperator, Item
from tdev_operators.operators.schedule import MAY_START, CalendarTimetable, item_deadlines, item_form
from tdev_operators.operators.work import ItemWorkOperator

CALENDAR = Calendar(
    tier="trial_slots",
    period_days=1,
    items={
        "even": Slot("*/2 * * * *", minutes=30, priority="high", owner="Tests"),
        "odd": Slot("1-59/2 * * * *", minutes=30, priority="high", owner="Tests"),
        "slow": Slot("0 0 1 1 *", minutes=1, priority="medium", owner="Tests"),
        "quick": Slot("0 0 1 1 *", minutes=1, priority="medium", owner="Tests"),
        "killed": Slot("0 0 1 1 *", minutes=30, priority="medium", owner="Tests"),
        "broken": Slot("0 0 1 1 *", minutes=1, priority="medium", owner="Tests"),
        "poolless": Slot("0 0 1 1 *", minutes=1, priority="medium", owner="Tests"),
        "disruptive": Slot("0 0 1 1 *", minutes=30, priority="medium", owner="Tests"),
    },
)


class TrialOperator(ItemWorkOperator):
    """Sleeps, then finds what it was told to find."""

    def __init__(self, *, seconds: float = 0, verdict: str = "OK", **kwargs):
        super().__init__(**kwargs)
        self.seconds = seconds
        self.verdict = verdict

    def work(self, _system, _settings):
        started = datetime.now(UTC)
        time.sleep(self.seconds)
        result = CheckResult(
            check="trial.sleep",
            verdict=Verdict(self.verdict),
            summary=f"Slept {self.seconds:g} s.",
            coverage=Coverage(seen=("the clock",)),
        )
        return ItemOutcome(results=(result,), started_at=started, ended_at=datetime.now(UTC))


with DAG(
    dag_id="tdev_trial_slots",
    schedule=CalendarTimetable(CALENDAR),
    deadline=item_deadlines(CALENDAR),
    params=item_form(CALENDAR),
    access_control=MAY_START,
    catchup=False,
    allowed_run_types=["scheduled", "manual"],
    max_active_runs=16,
    is_paused_upon_creation=True,
    doc_md=__doc__,
):
    with Item(CALENDAR, "even") as even:
        TrialOperator(task_id="check")
    with Item(CALENDAR, "odd") as odd:
        TrialOperator(task_id="check")
    with Item(CALENDAR, "slow") as slow:
        TrialOperator(task_id="check", seconds=80)
    with Item(CALENDAR, "quick") as quick:
        TrialOperator(task_id="check")
    with Item(CALENDAR, "killed") as killed:
        TrialOperator(task_id="check", seconds=12)
    with Item(CALENDAR, "broken") as broken:
        TrialOperator(task_id="check", verdict="CRITICAL")
    with Item(CALENDAR, "poolless") as poolless:
        TrialOperator(task_id="check", pool="tdev_gone")
    with Item(CALENDAR, "disruptive") as disruptive:
        approve = WindowApprovalOperator(task_id="approve", interrupts="the trial service")
        approve >> TrialOperator(task_id="check")

    items = [even, odd, slow, quick, killed, broken, poolless, disruptive]
    items >> CloseRunOperator(task_id="close_run", calendar=CALENDAR).as_teardown()
