"""## The monthly tier of the maintenance calendar

One run a slot: the slot's day decides the items; the others are skipped. A run is **red** when an item's verdict is
CRITICAL (something is broken) or UNKNOWN (nobody could look). Open the red item's `report` task and follow the link
*Maintenance report*: it says what, how bad, since when and what to do.

| red task | what it means | what to do |
|---|---|---|
| `due` | the product is not set up, or the form chose nothing | run `tdev init`; choose an item |
| `dr_drill.look` | the backups bucket could not be read | mend the connection `tdev_aws`; clear it |
| `dr_drill.report` | neither ledger nor bucket took the report | mend the connections `tdev_ledger`, `tdev_aws`; clear |
| `dr_drill.judge` | no recovery was rehearsed for too long, or one would take too long by now | a team lead starts `tdev_dr_drill` |
| `compliance_audit.audit` | the store is away, or the profile is wrong (see its log) | mend that; clear it |
| `compliance_audit.judge` | a control fails, or nobody knows: unknown is not a pass | read the report: each control says what it rests on |
| `capacity_planning.forecast` | the look ahead itself could not run (see its log) | clear the task when the cause is gone |
| `capacity_planning.judge` | a limit is reached soon, or there is not enough history | read the report: it has the date and what to do |

Started by hand, the form asks which items to do. Scheduled runs do what their slot says.
"""

from airflow.sdk import DAG

from tdev_operators.core.calendar_slots import Calendar, Slot
from tdev_operators.operators.analysis import CapacityForecastOperator
from tdev_operators.operators.compliance import ComplianceAuditOperator
from tdev_operators.operators.drill import DrillDueOperator
from tdev_operators.operators.items import CloseRunOperator, Item
from tdev_operators.operators.schedule import MAY_START, CalendarTimetable, item_deadlines, item_form

CALENDAR = Calendar(
    tier="monthly",
    period_days=31,
    items={
        "capacity_planning": Slot("0 9 1 * *", minutes=60, priority="medium", owner="Engineering"),
        "compliance_audit": Slot("0 9 2 * *", minutes=60, priority="medium", owner="Security"),
        # Three looks a month: a reminder, a reminder, and the day from which it is overdue (drill.due_day).
        "dr_drill": Slot("0 8 5,15,25 * *", minutes=15, priority="high", owner="DevOps"),
    },
)

with DAG(
    dag_id="tdev_monthly",
    description="Every month: whether a recovery was rehearsed and how long one would take; what grows; which controls hold",
    schedule=CalendarTimetable(CALENDAR),
    deadline=item_deadlines(CALENDAR),
    params=item_form(CALENDAR),
    access_control=MAY_START,
    catchup=False,
    allowed_run_types=["scheduled", "manual"],
    max_active_runs=16,  # a hung item of one slot must not hold up the next slot
    doc_md=__doc__,
    tags=["maintenance", "monthly"],
):
    with Item(CALENDAR, "capacity_planning") as capacity_planning:
        CapacityForecastOperator(task_id="forecast")

    with Item(CALENDAR, "compliance_audit") as compliance_audit:
        ComplianceAuditOperator(task_id="audit")

    with Item(CALENDAR, "dr_drill") as dr_drill:
        DrillDueOperator(task_id="look")

    close_run = CloseRunOperator(task_id="close_run", calendar=CALENDAR).as_teardown()

    [capacity_planning, compliance_audit, dr_drill] >> close_run
