"""The daily performance analysis and the monthly look ahead as operators (guide: performance, capacity)."""

from dataclasses import replace
from typing import TYPE_CHECKING

from tdev_operators.core.errors import SetupMissingError
from tdev_operators.operators.work import ItemWorkOperator, Job

if TYPE_CHECKING:
    from tdev_operators.core.items import ItemOutcome


class PerformanceAnalyzeOperator(ItemWorkOperator):
    """Measures database and application, compares with the days before, and looks at the effect of the last tuning."""

    def do(self, job: Job) -> "ItemOutcome":
        """Return the outcome of all looks; one that crashes is UNKNOWN and the others still look."""
        from tdev_operators.core.application.run import look_at_application  # noqa: PLC0415  not while parsing
        from tdev_operators.core.database.check_names import in_scope  # noqa: PLC0415
        from tdev_operators.core.database.performance.analysis import analyse  # noqa: PLC0415
        from tdev_operators.core.database.tuning.weekly import effect_of_last_change, effect_unknown  # noqa: PLC0415
        from tdev_operators.hooks.assembly import airflow_connections, system_ports  # noqa: PLC0415
        from tdev_operators.hooks.tuning_assembly import tuning_ports  # noqa: PLC0415

        settings, ledger, connections = job.settings, job.ports.ledger, airflow_connections()
        system = system_ports(settings, connections)
        outcome = analyse(system, ledger, settings, progress=self.log.info)
        application = look_at_application(system, ledger, settings, progress=self.log.info)
        # Each day, so that a change of the tuning has a day before and a day after.
        try:
            with tuning_ports(settings, connections) as ports:
                effect = effect_of_last_change(ports, settings, ledger)
        except SetupMissingError as error:
            effect = effect_unknown(error)
        counted, out_of_scope = in_scope([effect], settings)
        return replace(
            outcome,
            results=(*outcome.results, *application.results, *counted),
            out_of_scope=(*outcome.out_of_scope, *application.out_of_scope, *out_of_scope),
            ended_at=job.ports.clock(),
        )


class CapacityForecastOperator(ItemWorkOperator):
    """Foretells from the ledger's samples what grows, and when it meets its limit. Touches nothing else."""

    def do(self, job: Job) -> "ItemOutcome":
        """Return the outlook of everything that grows."""
        from tdev_operators.core.database.capacity.planning import plan_capacity  # noqa: PLC0415  not while parsing

        return plan_capacity(job.ports.ledger, job.settings, job.ports.clock)
