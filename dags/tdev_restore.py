"""## Restore from a back-up set, started by hand

Fill in the form and read the report. As it stands it restores the newest PROVEN set's database into a **new** database
beside the live one, holds every table against what the source held at the snapshot, and touches nothing else. *Dry run*
says what would be done. Replacing the live database asks two people of the settings first, neither of them you.

| red task | what it means | what to do |
|---|---|---|
| `preflight` | it cannot be done as asked; nothing was touched | its log says why in one sentence; start again |
| `approve`, `approve_again`, `approved` | it was rejected, nobody answered, or somebody may not | start again when it is agreed |
| `safety_set` | the live database could not be saved first | mend that; if it is too broken to be dumped, tick *No safety set* |
| `restore_database` | nothing stands beside the live database, or it is not equal | read the log; clear it, or take an earlier set |
| `restore_buckets` | not everything was written; nothing newer was touched | clear it: what is there already is not written again |
| `replace_live` | see `settle`: the live database has its name, or the new one is open | read the report before you do anything |
| `settle` | what is half-done could not be taken back | docs/restore.md says how to by hand; the journal says where it stopped |
| `report` | neither ledger nor bucket took the report | mend the connections `tdev_ledger`, `tdev_aws`; clear |
| `judge` | something was not restored, or is not equal | read the report |

Once the restored database is open to the application there is no automatic way back: the former one is kept under a
dated name, and docs/restore.md says how to return to it and what that loses.
"""

from airflow.sdk import DAG

from tdev_operators.operators.procedures import Procedure
from tdev_operators.operators.restore import (
    RestoreApprovalOperator,
    RestoreApprovedOperator,
    RestoreBucketsOperator,
    RestoreDatabaseOperator,
    RestorePreflightOperator,
    RestoreReplaceOperator,
    RestoreSafetySetOperator,
    RestoreSettleOperator,
    restore_form,
)
from tdev_operators.operators.schedule import LEADS_MAY_START

with (
    DAG(
        dag_id="tdev_restore",
        description="By hand: restore a back-up set beside the live system, or in its place",
        schedule=None,
        params=restore_form(),
        access_control=LEADS_MAY_START,
        catchup=False,
        allowed_run_types=["manual"],
        max_active_runs=1,
        doc_md=__doc__,
        tags=["maintenance", "recovery"],
    ),
    Procedure("restore", minutes=240, owner="DevOps"),
):
    preflight = RestorePreflightOperator(task_id="preflight")
    approve = RestoreApprovalOperator(task_id="approve")
    approve_again = RestoreApprovalOperator(task_id="approve_again", after="restore.approve")
    approved = RestoreApprovedOperator(task_id="approved", approvals=["restore.approve", "restore.approve_again"])
    safety_set = RestoreSafetySetOperator(task_id="safety_set", pool="tdev_backups")
    restore_database = RestoreDatabaseOperator(task_id="restore_database")
    restore_buckets = RestoreBucketsOperator(task_id="restore_buckets")
    replace_live = RestoreReplaceOperator(task_id="replace_live")
    settle = RestoreSettleOperator(task_id="settle").as_teardown(on_failure_fail_dagrun=True)  # also when marked failed

    preflight >> approve >> approve_again >> approved >> safety_set >> restore_database >> restore_buckets
    restore_buckets >> replace_live >> settle
