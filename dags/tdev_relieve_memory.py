"""## Relieve hosts of high memory, started by a team lead

As it stands it is a **dry run**: it shows who holds the memory of each host, keeps that as evidence and touches nothing. Untick
*Dry run* to act where memory is high: the kernel's caches are dropped only where the settings allow it and they are large, and a
service is restarted only when it holds much itself. Memory is measured before and after, and after the engine of the evolution
its next generation is waited for. Outside the maintenance window another person approves a restart first. **Way back**: none;
a service that was stopped is always started again.

| red task | what it means | what to do |
|---|---|---|
| `diagnose` | you may not start it, or the store is away; nothing was touched | its log says it in one sentence; start it again |
| `approve` | it was rejected, nobody answered, or somebody may not | start it again when it is agreed |
| `relieve` | a recovery of the evolution is at work, a host or the database went away meanwhile, or the ledger is down, without which nothing keeps two runs apart | read the log; clear it: it goes on where it was |
| `conclude` | the store is away, or it waits for who holds the lease of recoveries to start a service that was left stopped; after two hours it gives up and says so in red | read the log **now**; clear it |
| `report` | neither ledger nor bucket took the report | mend the connections `tdev_ledger`, `tdev_aws`; clear |
| `judge` | it did not help, nothing that may be restarted holds much, or the evolution does not go on | read the report: it names who holds the memory |
"""

from airflow.sdk import DAG

from tdev_operators.operators.memory_relief import (
    MemoryApprovalOperator,
    MemoryConcludeOperator,
    MemoryDiagnoseOperator,
    MemoryRelieveOperator,
    memory_relief_form,
)
from tdev_operators.operators.procedures import Procedure
from tdev_operators.operators.schedule import LEADS_MAY_START

with (
    DAG(
        dag_id="tdev_relieve_memory",
        description="By hand: see who holds the memory of each host, and relieve those where it is high",
        schedule=None,
        params=memory_relief_form(),
        access_control=LEADS_MAY_START,
        catchup=False,
        allowed_run_types=["manual"],
        max_active_runs=1,
        doc_md=__doc__,
        tags=["maintenance", "memory"],
    ),
    Procedure("relieve_memory", minutes=90, owner="DevOps"),
):
    diagnose = MemoryDiagnoseOperator(task_id="diagnose")
    approve = MemoryApprovalOperator(task_id="approve")
    relieve = MemoryRelieveOperator(task_id="relieve", approvals=["relieve_memory.approve"])
    conclude = MemoryConcludeOperator(task_id="conclude").as_teardown(
        on_failure_fail_dagrun=True
    )  # also when marked failed

    diagnose >> approve >> relieve >> conclude
