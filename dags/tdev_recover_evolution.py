"""## Recover a stalled evolution, started by a team lead

As it stands it is a **dry run**: it finds out what is wrong, keeps that as evidence and touches nothing. Untick *Dry run* to
recover: the engine is stopped, locks of dead engines are cleared, it is started and resumed from the newest valid checkpoint,
and then **real generations in the database** have to come; what the API says proves nothing. Outside the maintenance window
another person approves first. **Way back**: none is needed; an engine that was stopped is always started again.

| red task | what it means | what to do |
|---|---|---|
| `diagnose` | another recovery is at work, you may not start it, or the store is away; nothing was touched | its log says it in one sentence; start it again |
| `approve` | it was rejected, nobody answered, or somebody may not | start it again when it is agreed |
| `recover` | a host, the database or the API went away meanwhile; or the ledger is down, without which nothing keeps two runs apart | read the log; clear it: it goes on where it was, and the evidence stays that of before |
| `conclude` | the store is away, or it waits for who holds the lease of recoveries to start an engine that was left stopped; after two hours it gives up and says so in red | read the log **now**; clear it |
| `report` | neither ledger nor bucket took the report | mend the connections `tdev_ledger`, `tdev_aws`; clear |
| `judge` | not cured, or nothing could be done | read the report: it says why and what to do next |
"""

from airflow.sdk import DAG

from tdev_operators.operators.evolution_recovery import (
    EvolutionApprovalOperator,
    EvolutionConcludeOperator,
    EvolutionDiagnoseOperator,
    EvolutionRecoverOperator,
    evolution_recovery_form,
)
from tdev_operators.operators.procedures import Procedure
from tdev_operators.operators.schedule import LEADS_MAY_START

with (
    DAG(
        dag_id="tdev_recover_evolution",
        description="By hand: find out why the evolution is stalled, restart it, and prove that it goes on",
        schedule=None,
        params=evolution_recovery_form(),
        access_control=LEADS_MAY_START,
        catchup=False,
        allowed_run_types=["manual"],
        max_active_runs=1,
        doc_md=__doc__,
        tags=["maintenance", "evolution"],
    ),
    Procedure("recover_evolution", minutes=120, owner="Engineering"),
):
    diagnose = EvolutionDiagnoseOperator(task_id="diagnose")
    approve = EvolutionApprovalOperator(task_id="approve")
    recover = EvolutionRecoverOperator(task_id="recover", approvals=["recover_evolution.approve"])
    conclude = EvolutionConcludeOperator(task_id="conclude").as_teardown(
        on_failure_fail_dagrun=True
    )  # also when marked failed

    diagnose >> approve >> recover >> conclude
