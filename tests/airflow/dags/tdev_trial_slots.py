"""A tier with a slot every minute, for the tests: `check`, `due`, `report`, `judge`, `close_run` as in every tier."""

from airflow.sdk import DAG

from tdev_operators.core.calendar_slots import Calendar, Slot
from tdev_operators.operators.items import CloseRunOperator, Item
from tdev_operators.operators.schedule import MAY_START, CalendarTimetable, item_deadlines, item_form
from tests.airflow.trial import TrialOperator

CALENDAR = Calendar(
    tier="trial_slots",
    period_days=1,
    items={
        "even": Slot("*/2 * * * *", minutes=30, priority="high", owner="Tests"),
        "odd": Slot("1-59/2 * * * *", minutes=30, priority="high", owner="Tests"),
        "slow": Slot("0 0 1 1 *", minutes=1, priority="medium", owner="Tests"),
        "quick": Slot("0 0 1 1 *", minutes=1, priority="medium", owner="Tests"),
        "broken": Slot("0 0 1 1 *", minutes=1, priority="medium", owner="Tests"),
        "poolless": Slot("0 0 1 1 *", minutes=1, priority="medium", owner="Tests"),
    },
)

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
    with Item(CALENDAR, "broken") as broken:
        TrialOperator(task_id="check", verdict="CRITICAL")
    with Item(CALENDAR, "poolless") as poolless:
        TrialOperator(task_id="check", pool="tdev_gone")

    items = [even, odd, slow, quick, broken, poolless]
    items >> CloseRunOperator(task_id="close_run", calendar=CALENDAR).as_teardown()
