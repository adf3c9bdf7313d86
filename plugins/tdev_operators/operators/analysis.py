"""The daily performance analysis and the monthly look ahead as operators (guide: performance, capacity)."""

from typing import TYPE_CHECKING

from tdev_operators.operators.work import ItemWorkOperator, Job

if TYPE_CHECKING:
    from tdev_operators.core.items import ItemOutcome


class PerformanceAnalyzeOperator(ItemWorkOperator):
    """Measures the database, compares with the days before, and keeps today's figures in the ledger."""

    def do(self, job: Job) -> "ItemOutcome":
        """Return the outcome of all looks; one that crashes is UNKNOWN and the others still look."""
        from tdev_operators.core.database.performance.analysis import analyse  # noqa: PLC0415  not while parsing
        from tdev_operators.hooks.assembly import airflow_connections, system_ports  # noqa: PLC0415

        system = system_ports(job.settings, airflow_connections())
        return analyse(system, job.ports.ledger, job.settings, progress=self.log.info)


class CapacityForecastOperator(ItemWorkOperator):
    """Foretells from the ledger's samples what grows, and when it meets its limit. Touches nothing else."""

    def do(self, job: Job) -> "ItemOutcome":
        """Return the outlook of everything that grows."""
        from tdev_operators.core.database.capacity.planning import plan_capacity  # noqa: PLC0415  not while parsing

        return plan_capacity(job.ports.ledger, job.settings, job.ports.clock)
