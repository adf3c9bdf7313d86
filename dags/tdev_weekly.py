"""## The weekly tier of the maintenance calendar

One run a slot: the slot's day decides the items; the others are skipped. A run is **red** when an item's verdict is
CRITICAL (something is broken) or UNKNOWN (nobody could look). Open the red item's `report` task and follow the link
*Maintenance report*: it says what, how bad, since when and what to do.

| red task | what it means | what to do |
|---|---|---|
| `due` | the product is not set up, or the form chose nothing | run `tdev init`; choose an item |
| `full_backup.take` | the full set was not completed or not verified; earlier sets are intact | see its log; clear it |
| `full_backup.report` | neither ledger nor bucket took the report | mend the connections `tdev_ledger`, `tdev_aws`; clear |
| `full_backup.judge` | the set is damaged or not equal to its source | read the report before you trust any back-up |
| `security_audit.audit` | the ledger could not take the findings, or the waivers' file is wrong (see its log) | mend that; clear it |
| `security_audit.judge` | something lies open, a finding is late, or nobody could look | read the report |
| `performance_tuning.compare` | the database cannot be asked, or is a standby | see its log; clear it |
| `performance_tuning.judge` | a configuration file would keep the database from starting, its pools do not fit, or nobody could look | read the report; `tdev_apply_tuning` applies what is recommended |
| `agent_optimization.optimise` | registry, bucket or the backups bucket are away; what was begun is made good by the next try | see its log; clear it |
| `agent_optimization.judge` | a barrier of the confinement gives way, so that nothing was executed; or time ran out | read the report: it names the barrier and what to change |
| `metric_cleanup.clean` | database, store or ledger were away; what was removed so far is on the receipt | clear it: it goes on |
| `metric_cleanup.report` | neither ledger nor bucket took the report | mend the connections `tdev_ledger`, `tdev_aws`; clear |
| `metric_cleanup.judge` | a table was refused, rows were held by somebody, or a proof failed | read the report: it says what stays, and why |
| `database_optimization.optimize` | the care itself could not run (see its log) | mend the connection `tdev_dba`; clear it |
| `database_optimization.judge` | a table or index could not be cared for, or an index is damaged | read the report |

Started by hand, the form asks which items to do. Scheduled runs do what their slot says.
"""

from airflow.sdk import DAG

from tdev_operators.core.calendar_slots import Calendar, Slot
from tdev_operators.operators.agent_care import AgentOptimiseOperator
from tdev_operators.operators.backup import FullBackupOperator
from tdev_operators.operators.database_care import DatabaseCareOperator, care_form
from tdev_operators.operators.items import CloseRunOperator, Item
from tdev_operators.operators.metric_cleanup import MetricCleanupOperator
from tdev_operators.operators.schedule import MAY_START, CalendarTimetable, item_deadlines, item_form
from tdev_operators.operators.security import SecurityAuditOperator
from tdev_operators.operators.tuning import TuningCompareOperator

CALENDAR = Calendar(
    tier="weekly",
    period_days=7,
    items={
        "full_backup": Slot("0 3 * * 1", minutes=120, priority="high", owner="DevOps"),
        "security_audit": Slot("0 4 * * 2", minutes=60, priority="high", owner="Security"),
        "performance_tuning": Slot("0 4 * * 3", minutes=120, priority="medium", owner="Engineering"),
        "agent_optimization": Slot("0 5 * * 3", minutes=60, priority="medium", owner="Engineering"),
        "metric_cleanup": Slot("30 3 * * 4", minutes=60, priority="medium", owner="DBA"),
        "database_optimization": Slot("0 4 * * 4", minutes=60, priority="medium", owner="DBA"),
    },
)

with DAG(
    dag_id="tdev_weekly",
    description="Every week: full back-up with its proof, security audit, tuning drift, agents, old rows, care of the database",
    schedule=CalendarTimetable(CALENDAR),
    deadline=item_deadlines(CALENDAR),
    params=item_form(CALENDAR) | care_form(),
    access_control=MAY_START,
    catchup=False,
    allowed_run_types=["scheduled", "manual"],
    max_active_runs=16,  # a hung item of one slot must not hold up the next slot
    doc_md=__doc__,
    tags=["maintenance", "weekly"],
):
    with Item(CALENDAR, "full_backup") as full_backup:
        FullBackupOperator(task_id="take", pool="tdev_backups")

    with Item(CALENDAR, "security_audit") as security_audit:
        SecurityAuditOperator(task_id="audit", pool="tdev_checks")

    with Item(CALENDAR, "performance_tuning") as performance_tuning:
        TuningCompareOperator(task_id="compare")

    with Item(CALENDAR, "agent_optimization") as agent_optimization:
        AgentOptimiseOperator(task_id="optimise")

    with Item(CALENDAR, "metric_cleanup") as metric_cleanup:
        MetricCleanupOperator(task_id="clean", pool="tdev_care")

    with Item(CALENDAR, "database_optimization", follows=metric_cleanup) as database_optimization:
        DatabaseCareOperator(task_id="optimize", pool="tdev_care")

    close_run = CloseRunOperator(task_id="close_run", calendar=CALENDAR).as_teardown()

    [
        full_backup,
        security_audit,
        performance_tuning,
        agent_optimization,
        metric_cleanup,
        database_optimization,
    ] >> close_run
