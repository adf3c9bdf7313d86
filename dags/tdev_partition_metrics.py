"""## Turn a table into one of partitions, started by a team lead

By importance, then by time, so that `metric_cleanup` drops whole partitions at 30 and at 90 days. As it stands it is a
**dry run**: it prints every statement and what would refuse it. The new table is filled beside the old one while that is in
use, proven the same, and takes its place under a lock of a fraction of a second; approved by another person, in the
maintenance window (or *Now*). **Way back**: start it again with *undo*, which loses no row. *Drop the former table* ends that.

| red task | what it means | what to do |
|---|---|---|
| `look` | it cannot be done as asked; nothing was touched | its log says why, a sentence each, with the GRANT that is missing |
| `approve` | it was rejected, nobody answered, or somebody may not | start again when it is agreed |
| `partition` | somebody holds the table, database or store are away, or a proof failed and nothing was exchanged | read the log; clear it: it goes on where it was. *Undo* clears away what was begun |
| `report` | neither ledger nor bucket took the report | mend the connections `tdev_ledger`, `tdev_aws`; clear |
| `judge` | it was not done | read the report, and the log of the red task |
"""

from airflow.sdk import DAG

from tdev_operators.operators.partition_metrics import (
    PartitionApprovalOperator,
    PartitionLookOperator,
    PartitionOperator,
    partition_metrics_form,
)
from tdev_operators.operators.procedures import Procedure
from tdev_operators.operators.schedule import LEADS_MAY_START

with (
    DAG(
        dag_id="tdev_partition_metrics",
        description="By hand: a table into partitions by importance and time, while it is in use; or that taken back",
        schedule=None,
        params=partition_metrics_form(),
        access_control=LEADS_MAY_START,
        catchup=False,
        allowed_run_types=["manual"],
        max_active_runs=1,
        doc_md=__doc__,
        tags=["maintenance", "database"],
    ),
    Procedure("partition_metrics", minutes=240, owner="DBA"),
):
    look = PartitionLookOperator(task_id="look")
    approve = PartitionApprovalOperator(task_id="approve")
    partition = PartitionOperator(task_id="partition", approvals=["partition_metrics.approve"])

    look >> approve >> partition
