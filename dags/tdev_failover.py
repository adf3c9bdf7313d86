"""## Failover to the other side, started by a team lead

The old side is stopped for good, the standby gets what it lacks, is promoted, names follow, the application starts there.
One other person of the settings approves. *Rehearse* looks at every step on both sides and takes none.

| red task | what it means | what to do |
|---|---|---|
| `look` | it cannot be done as asked; nothing was touched | its log says why in one sentence; start again |
| `approve`, `approved` | it was rejected, nobody answered, or somebody may not | start again when it is agreed |
| `fence` | nothing proves that the old side is off; nothing was promoted | read the log; turn the machine off, then start again and attest it |
| `sync` | the standby lacks something, or the store is away; `settle` took it back | mend that; start again |
| `promote` | the standby is not known to be a primary; **the old side stays off** | clear it: it is read back before anything is done |
| `switch_names`, `start`, `verify` | the new side is the primary, and not everything points to it yet | mend what the log says; clear it |
| `settle` | what is half-done could not be taken back, or nobody may take it back | the report says how each part stands and what to do |
| `report` | neither ledger nor bucket took the report | mend the connections `tdev_ledger`, `tdev_aws`; clear |
| `judge` | it was not failed over, or something was lost | read the report |

From `promote` on there is no way back but another failover: docs/failover.md says how the old side becomes the standby.
"""

from datetime import timedelta

from airflow.sdk import DAG

from tdev_operators.operators.failover import (
    FailoverApprovalOperator,
    FailoverApprovedOperator,
    FailoverFenceOperator,
    FailoverLookOperator,
    FailoverNamesOperator,
    FailoverPromoteOperator,
    FailoverSettleOperator,
    FailoverStartOperator,
    FailoverSyncOperator,
    FailoverVerifyOperator,
    failover_form,
)
from tdev_operators.operators.procedures import Procedure
from tdev_operators.operators.schedule import LEADS_MAY_START

with (
    DAG(
        dag_id="tdev_failover",
        description="By hand: let the other side serve, without ever having two primaries",
        schedule=None,
        params=failover_form(),
        access_control=LEADS_MAY_START,
        catchup=False,
        allowed_run_types=["manual"],
        max_active_runs=1,
        doc_md=__doc__,
        tags=["maintenance", "recovery"],
    ),
    Procedure("failover", minutes=30, owner="DevOps"),
):
    look = FailoverLookOperator(task_id="look")
    approve = FailoverApprovalOperator(task_id="approve")
    approved = FailoverApprovedOperator(task_id="approved", approvals=["failover.approve"])
    fence = FailoverFenceOperator(task_id="fence")
    # Without a replica a whole set is restored meanwhile.
    sync = FailoverSyncOperator(task_id="sync", execution_timeout=timedelta(hours=8))
    promote = FailoverPromoteOperator(task_id="promote")
    switch_names = FailoverNamesOperator(task_id="switch_names")
    start = FailoverStartOperator(task_id="start")
    verify = FailoverVerifyOperator(task_id="verify")
    settle = FailoverSettleOperator(task_id="settle").as_teardown(
        on_failure_fail_dagrun=True
    )  # also when marked failed

    look >> approve >> approved >> fence >> sync >> promote >> switch_names >> start >> verify >> settle
