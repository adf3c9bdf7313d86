"""The agents' care as an operator (guide: Agent Memory Optimization): weekly, those that come close to their limit."""

from typing import TYPE_CHECKING

from tdev_operators.operators.work import ItemWorkOperator, Job

if TYPE_CHECKING:
    from tdev_operators.core.items import ItemOutcome

KIND = "agents"


class AgentOptimiseOperator(ItemWorkOperator):
    """Makes agents smaller where that is proven to change nothing, and writes them back; the former stay for undo."""

    def do(self, job: Job) -> "ItemOutcome":
        """Return two results: the confinement, and what became of the agents."""
        from tdev_operators.core.agents.run import Run, optimise_agents  # noqa: PLC0415  not while parsing
        from tdev_operators.core.items import ItemOutcome  # noqa: PLC0415
        from tdev_operators.core.recovery.request import recovery_id_of  # noqa: PLC0415
        from tdev_operators.core.scope import in_scope  # noqa: PLC0415
        from tdev_operators.hooks.agent_assembly import agent_ports  # noqa: PLC0415
        from tdev_operators.hooks.assembly import airflow_connections  # noqa: PLC0415

        started_at = job.ports.clock()
        run = Run(
            recovery_id_of(KIND, job.ref.run_id),
            note=lambda event, facts: job.ports.ledger.journal(job.ref, event, facts),
            progress=self.log.info,
            check=job.check,
        )
        with agent_ports(job.settings, airflow_connections()) as ports:
            results, off = in_scope(optimise_agents(ports, job.settings, run), job.settings)
        job.returned["optimisation_id"] = run.id
        return ItemOutcome(results, started_at, job.ports.clock(), off)
