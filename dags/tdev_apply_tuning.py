"""## Apply what the settings recommend, started by a team lead

As it stands it is a **dry run**: it prints the exact statements and what would refuse them. Untick *Dry run* to apply.
What a reload makes count is set by `ALTER SYSTEM`, reloaded and proven in a new session, or taken back. What needs a restart
is approved by another person and done in the maintenance window (or *Now*); when the database does not come up with it,
its former file is put back. **Way back**: start it again with *Undo* = the id that the report names.

| red task | what it means | what to do |
|---|---|---|
| `look` | it cannot be done as asked; nothing was touched | its log says why in one sentence, with the GRANT that is missing |
| `approve` | it was rejected, nobody answered, or somebody may not | start again when it is agreed |
| `apply` | a value did not come into force and was taken back, or the database or the API is away | read the log; clear it: what is done is not done twice |
| `restart` | the database did not come up with the new values and runs with the former ones, or its host is away | read the log **now** when it says that it does not run; clear it: it goes on where it was |
| `conclude` | the ledger or the bucket is away | clear it |
| `report` | neither ledger nor bucket took the report | mend the connections `tdev_ledger`, `tdev_aws`; clear |
| `judge` | something was taken back, is half-done, or was never begun | read the report |
"""

from airflow.sdk import DAG

from tdev_operators.operators.procedures import Procedure
from tdev_operators.operators.schedule import LEADS_MAY_START
from tdev_operators.operators.tuning import (
    TuningApplyOperator,
    TuningApprovalOperator,
    TuningConcludeOperator,
    TuningLookOperator,
    TuningRestartOperator,
    tuning_form,
)

with (
    DAG(
        dag_id="tdev_apply_tuning",
        description="By hand: bring database and application to what the settings recommend, or take that back",
        schedule=None,
        params=tuning_form(),
        access_control=LEADS_MAY_START,
        catchup=False,
        allowed_run_types=["manual"],
        max_active_runs=1,
        doc_md=__doc__,
        tags=["maintenance", "tuning"],
    ),
    Procedure("apply_tuning", minutes=30, owner="Engineering"),
):
    look = TuningLookOperator(task_id="look")
    approve = TuningApprovalOperator(task_id="approve")
    apply = TuningApplyOperator(task_id="apply", approvals=["apply_tuning.approve"])
    restart = TuningRestartOperator(task_id="restart")
    conclude = TuningConcludeOperator(task_id="conclude")

    look >> approve >> apply >> restart >> conclude
