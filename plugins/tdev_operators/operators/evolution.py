"""The daily review of the evolution as an operator (guide: Evolution metrics review)."""

from typing import TYPE_CHECKING

from tdev_operators.operators.work import ItemWorkOperator, Job

if TYPE_CHECKING:
    from tdev_operators.core.items import ItemOutcome


class EvolutionReviewOperator(ItemWorkOperator):
    """Reviews pace, fitness, diversity, constraints, mutations and costs of the generations."""

    def do(self, job: Job) -> "ItemOutcome":
        """Return the outcome of all looks; one that crashes is UNKNOWN and the others still look."""
        from tdev_operators.core.evolution.review.run import review_evolution  # noqa: PLC0415  not while parsing
        from tdev_operators.hooks.assembly import airflow_connections, system_ports  # noqa: PLC0415

        system = system_ports(job.settings, airflow_connections())
        return review_evolution(system, job.ports.ledger, job.settings, progress=self.log.info)
