"""A tier that is started by hand alone, for the tests: its slots come once a year."""

from airflow.sdk import DAG

from tdev_operators.core.calendar_slots import Calendar, Slot
from tdev_operators.operators.approval import WindowApprovalOperator
from tdev_operators.operators.items import CloseRunOperator, Item
from tdev_operators.operators.schedule import MAY_START, CalendarTimetable, item_deadlines, item_form
from tests.airflow.trial import TrialOperator

CALENDAR = Calendar(
    tier="trial_items",
    period_days=1,
    items={
        "brief": Slot("0 0 1 1 *", minutes=30, priority="medium", owner="Tests"),
        "killed": Slot("0 0 1 1 *", minutes=30, priority="medium", owner="Tests"),
        "disruptive": Slot("0 0 1 1 *", minutes=30, priority="medium", owner="Tests"),
    },
)

with DAG(
    dag_id="tdev_trial_items",
    schedule=CalendarTimetable(CALENDAR),
    deadline=item_deadlines(CALENDAR),
    params=item_form(CALENDAR),
    access_control=MAY_START,
    catchup=False,
    allowed_run_types=["scheduled", "manual"],
    max_active_runs=16,
    doc_md=__doc__,
):
    with Item(CALENDAR, "brief") as brief:
        TrialOperator(task_id="check")
    with Item(CALENDAR, "killed") as killed:
        TrialOperator(task_id="check", seconds=12)
    with Item(CALENDAR, "disruptive") as disruptive:
        approve = WindowApprovalOperator(task_id="approve", interrupts="the trial service")
        approve >> TrialOperator(task_id="check")

    items = [brief, killed, disruptive]
    items >> CloseRunOperator(task_id="close_run", calendar=CALENDAR).as_teardown()
