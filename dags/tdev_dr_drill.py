"""## Disaster recovery drill, started by a team lead

Everything that the newest PROVEN set holds is restored where nothing else is, timed by phase and used: that is how long
a recovery takes, and how much would be lost. The live system is not touched. One person of the settings approves first.

| red task | what it means | what to do |
|---|---|---|
| `intend` | nothing was made yet | its log says why in one sentence; start again |
| `approve`, `approved` | it was rejected, nobody answered, or somebody may not: **not rehearsed** | start again when it is agreed |
| `rehearse` | the set could not be restored, or the store was away | read the log first: is it the set? Then take and verify a full one |
| `failover` | the other side could not be looked at; red steps stand in the report | mend its connection; clear |
| `clear` | scratch objects are still there | clear it; the next drill removes them too |
| `conclude` | there is no evidence of this drill | clear it: everything that was seen stands in the journal |
| `report` | neither ledger nor bucket took the report | mend the connections `tdev_ledger`, `tdev_aws`; clear |
| `judge` | something was not as it was, took too long, or would lose too much | read the report |

docs/drill.md says what is measured and how; `tdev drill` does the same from a shell, with Airflow and the ledger dead.
"""

from airflow.sdk import DAG

from tdev_operators.operators.drill import (
    DrillApprovalOperator,
    DrillApprovedOperator,
    DrillClearOperator,
    DrillConcludeOperator,
    DrillFailoverOperator,
    DrillIntendOperator,
    DrillRehearseOperator,
    drill_form,
)
from tdev_operators.operators.procedures import Procedure
from tdev_operators.operators.schedule import LEADS_MAY_START

with (
    DAG(
        dag_id="tdev_dr_drill",
        description="By hand, monthly: rehearse a recovery in a clean room, with evidence",
        schedule=None,
        params=drill_form(),
        access_control=LEADS_MAY_START,
        catchup=False,
        allowed_run_types=["manual"],
        max_active_runs=1,
        doc_md=__doc__,
        tags=["maintenance", "recovery"],
    ),
    Procedure("drill", minutes=240, owner="DevOps"),
):
    intend = DrillIntendOperator(task_id="intend").as_setup()  # type: ignore[no-untyped-call]
    approve = DrillApprovalOperator(task_id="approve", trigger_rule="all_success")  # the only one that follows a setup
    approved = DrillApprovedOperator(task_id="approved", approvals=["drill.approve"])
    rehearse = DrillRehearseOperator(task_id="rehearse", pool="tdev_backups")
    failover = DrillFailoverOperator(task_id="failover")
    clear = DrillClearOperator(task_id="clear").as_teardown(setups=intend, on_failure_fail_dagrun=True)
    conclude = DrillConcludeOperator(task_id="conclude")

    intend >> approve >> approved >> rehearse >> failover >> clear >> conclude
