"""## The daily tier of the maintenance calendar

One run a slot: the slot's hour decides the items; the others are skipped. A run is **red** when an item's verdict is
CRITICAL (something is broken) or UNKNOWN (nobody could look). Open the red item's `report` task and follow the link
*Maintenance report*: it says what, how bad, since when and what to do.

| red task | what it means | what to do |
|---|---|---|
| `due` | the product is not set up, or the form chose nothing | run `tdev init`; choose an item |
| `health_check.check` | the check itself could not run (see its log) | clear the task when the cause is gone |
| `health_check.report` | neither ledger nor bucket took the report | mend the connections `tdev_ledger`, `tdev_aws`; clear |
| `health_check.judge` | a check is CRITICAL or UNKNOWN | read the report; clear the group to look again |
| `evolution_metrics_review.review` | the review itself could not run (see its log) | clear the task when the cause is gone |
| `evolution_metrics_review.judge` | the evolution is late, worse, or breaks its limits, or nobody could tell | read the report; stalled: `tdev_recover_evolution` |
| `backup.take` | no set was completed; earlier sets are intact | see its log; clear it: what was stored is used again |
| `backup_verification.verify` | tonight's set was not verified | mend store or scratch server; clear the group |
| `*.judge` of the two | a set is missing, damaged or not equal | read the report before you trust any back-up |
| `performance_analysis.analyze` | the analysis itself could not run (see its log) | clear the task when the cause is gone |
| `performance_analysis.judge` | a statement, checkpoint, lock or table is out of bounds, or a look could not be taken | read the report |
| `security_scan.scan` | the ledger could not take the findings, or the waivers' file is wrong (see its log) | mend that; clear it |
| `security_scan.judge` | a scanner could not prove that it looked, or a finding is past its due date | read the report |
| `certificate_management.manage` | the ledger is away (see its log) | clear it: a renewal that was begun goes on |
| `certificate_management.judge` | a certificate ends soon, is refused, or was not renewed | read the report: it says what is served now |
| `backup_proven` | nothing proven to announce | as above |

Started by hand, the form asks which items to do. Scheduled runs do what their slot says.
"""

from airflow.sdk import DAG

from tdev_operators.core.calendar_slots import Calendar, Slot
from tdev_operators.operators.analysis import PerformanceAnalyzeOperator
from tdev_operators.operators.backup import (
    BackupProvenOperator,
    BackupTakeOperator,
    BackupVerifyOperator,
    backup_form,
)
from tdev_operators.operators.certificates import CertificateManageOperator
from tdev_operators.operators.evolution import EvolutionReviewOperator
from tdev_operators.operators.health import HealthCheckOperator
from tdev_operators.operators.items import CloseRunOperator, Item
from tdev_operators.operators.schedule import MAY_START, CalendarTimetable, item_deadlines, item_form
from tdev_operators.operators.security import SecurityScanOperator

CALENDAR = Calendar(
    tier="daily",
    period_days=1,
    items={
        "health_check": Slot("0 9 * * *", minutes=15, priority="critical", owner="DevOps"),
        "evolution_metrics_review": Slot("0 10 * * *", minutes=30, priority="high", owner="Engineering"),
        "performance_analysis": Slot("0 14 * * *", minutes=20, priority="medium", owner="Engineering"),
        "security_scan": Slot("0 17 * * *", minutes=15, priority="high", owner="Security"),
        "certificate_management": Slot("0 17 * * *", minutes=15, priority="high", owner="Security"),
        "backup": Slot("0 21 * * *", minutes=45, priority="critical", owner="DevOps"),
        "backup_verification": Slot("0 22 * * *", minutes=10, priority="critical", owner="DevOps"),
    },
)

with DAG(
    dag_id="tdev_daily",
    description="Every day: health check, evolution review, performance analysis, security scan, certificates, back-up and its verification",
    schedule=CalendarTimetable(CALENDAR),
    deadline=item_deadlines(CALENDAR),
    params=item_form(CALENDAR) | backup_form(),
    access_control=MAY_START,
    catchup=False,
    allowed_run_types=["scheduled", "manual"],
    max_active_runs=16,  # a hung item of one slot must not hold up the next slot
    doc_md=__doc__,
    tags=["maintenance", "daily"],
):
    with Item(CALENDAR, "health_check") as health_check:
        HealthCheckOperator(task_id="check", pool="tdev_checks")

    with Item(CALENDAR, "evolution_metrics_review") as evolution_metrics_review:
        EvolutionReviewOperator(task_id="review", pool="tdev_checks")

    with Item(CALENDAR, "performance_analysis") as performance_analysis:
        PerformanceAnalyzeOperator(task_id="analyze", pool="tdev_checks")

    with Item(CALENDAR, "security_scan") as security_scan:
        SecurityScanOperator(task_id="scan", pool="tdev_checks")

    with Item(CALENDAR, "certificate_management") as certificate_management:
        CertificateManageOperator(task_id="manage", pool="tdev_checks")

    with Item(CALENDAR, "backup") as backup:
        BackupTakeOperator(task_id="take", pool="tdev_backups")

    with Item(CALENDAR, "backup_verification", follows=backup) as backup_verification:
        BackupVerifyOperator(task_id="verify", pool="tdev_backups")

    backup_proven = BackupProvenOperator(task_id="backup_proven")
    close_run = CloseRunOperator(task_id="close_run", calendar=CALENDAR).as_teardown()

    backup_verification >> backup_proven
    [
        health_check,
        evolution_metrics_review,
        performance_analysis,
        security_scan,
        certificate_management,
        backup,
        backup_verification,
    ] >> close_run
    backup_proven >> close_run
