"""## Drop a database that a restore replaced, started by a team lead

A restore of the live database keeps the former one under a dated name. It stays for `recovery.keep_replaced_days`, and
until a set that was taken after the exchange is PROVEN; then it may go, approved by another person. **There is no way back.**

| red task | what it means | what to do |
|---|---|---|
| `look` | it has to stay, or what stands there is another database; nothing was touched | its log says why, and until when |
| `approve` | it was rejected, nobody answered, or somebody may not | start again when it is agreed |
| `drop` | somebody is connected, or the server is away | clear it: what is dropped is not dropped twice |
| `report` | neither ledger nor bucket took the report | mend the connections `tdev_ledger`, `tdev_aws`; clear |
| `judge` | it was not dropped | read the report |
"""

from airflow.sdk import DAG

from tdev_operators.operators.drop_replaced import DropApprovalOperator, DropLookOperator, DropOperator, drop_form
from tdev_operators.operators.procedures import Procedure
from tdev_operators.operators.schedule import LEADS_MAY_START

with (
    DAG(
        dag_id="tdev_drop_replaced",
        description="By hand: drop the former live database, days after a restore replaced it",
        schedule=None,
        params=drop_form(),
        access_control=LEADS_MAY_START,
        catchup=False,
        allowed_run_types=["manual"],
        max_active_runs=1,
        doc_md=__doc__,
        tags=["maintenance", "recovery"],
    ),
    Procedure("drop_replaced", minutes=15, owner="DevOps"),
):
    look = DropLookOperator(task_id="look")
    approve = DropApprovalOperator(task_id="approve")
    drop = DropOperator(task_id="drop", approvals=["drop_replaced.approve"])

    look >> approve >> drop
