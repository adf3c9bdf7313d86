"""## Give archived rows back, started by a team lead

`metric_cleanup` archives important rows before it removes them. This brings the rows of one such run back: into a new
table beside the one they came from, or into it, where the next cleanup finds them due again. A row that is there already
stays as it is; every row is held against the archive's digest. Approved by another person of the settings.

| red task | what it means | what to do |
|---|---|---|
| `look` | there is no such archive, or the table no longer has its columns; nothing was touched | its log says what there is |
| `approve` | it was rejected, nobody answered, or somebody may not | start again when it is agreed |
| `give_back` | database or store are away, or an archive object was changed | clear it: what is there is not inserted twice |
| `report` | neither ledger nor bucket took the report | mend the connections `tdev_ledger`, `tdev_aws`; clear |
| `judge` | rows are not there all the same | read the report |
"""

from airflow.sdk import DAG

from tdev_operators.operators.procedures import Procedure
from tdev_operators.operators.restore_metrics import (
    GiveBackApprovalOperator,
    GiveBackLookOperator,
    GiveBackOperator,
    restore_metrics_form,
)
from tdev_operators.operators.schedule import LEADS_MAY_START

with (
    DAG(
        dag_id="tdev_restore_metrics",
        description="By hand: archived rows back into their table, or into one beside it",
        schedule=None,
        params=restore_metrics_form(),
        access_control=LEADS_MAY_START,
        catchup=False,
        allowed_run_types=["manual"],
        max_active_runs=1,
        doc_md=__doc__,
        tags=["maintenance", "database"],
    ),
    Procedure("restore_metrics", minutes=60, owner="DBA"),
):
    look = GiveBackLookOperator(task_id="look")
    approve = GiveBackApprovalOperator(task_id="approve")
    give_back = GiveBackOperator(task_id="give_back", approvals=["restore_metrics.approve"])

    look >> approve >> give_back
