"""The daily performance analysis and the monthly look ahead as operators (guide: performance, capacity)."""

from typing import TYPE_CHECKING

from tdev_operators.core.errors import SetupMissingError
from tdev_operators.operators.work import ItemWorkOperator, Job

if TYPE_CHECKING:
    from tdev_operators.core.items import ItemOutcome
    from tdev_operators.core.verdicts import CheckResult
    from tdev_operators.hooks.connections import ConnectionSource


class PerformanceAnalyzeOperator(ItemWorkOperator):
    """Measures database, application and logs, compares with the days before, and looks at the last tuning's effect."""

    def do(self, job: Job) -> "ItemOutcome":
        """Return the outcome of all looks; one that crashes is UNKNOWN and the others still look."""
        from tdev_operators.core.application.run import look_at_application  # noqa: PLC0415  not while parsing
        from tdev_operators.core.database.performance.analysis import analyse  # noqa: PLC0415
        from tdev_operators.core.items import ItemOutcome  # noqa: PLC0415
        from tdev_operators.core.logs.check_names import wanted_of  # noqa: PLC0415
        from tdev_operators.core.logs.run import analyse_logs  # noqa: PLC0415
        from tdev_operators.core.scope import in_scope  # noqa: PLC0415
        from tdev_operators.hooks.assembly import airflow_connections, system_ports  # noqa: PLC0415
        from tdev_operators.hooks.logs_assembly import log_ports  # noqa: PLC0415

        settings, ledger, connections = job.settings, job.ports.ledger, airflow_connections()
        system, started_at, progress = system_ports(settings, connections), job.ports.clock(), self.log.info
        database = analyse(system, ledger, settings, progress=progress)
        application = look_at_application(system, ledger, settings, progress=progress)
        wanted, logs_off = wanted_of(settings)
        logs = analyse_logs(log_ports(settings, connections), settings, ledger, wanted=wanted, progress=progress)
        effect, effect_off = in_scope([_effect(job, connections)], settings)
        return ItemOutcome(
            (*database.results, *application.results, *logs, *effect),
            started_at,
            job.ports.clock(),
            (*database.out_of_scope, *application.out_of_scope, *logs_off, *effect_off),
        )


def _effect(job: Job, connections: "ConnectionSource") -> "CheckResult":
    """Return the last tuning's effect: looked at each day, so that a change has a day before and a day after."""
    from tdev_operators.core.database.tuning.weekly import effect_of_last_change, effect_unknown  # noqa: PLC0415
    from tdev_operators.hooks.tuning_assembly import tuning_ports  # noqa: PLC0415

    try:
        with tuning_ports(job.settings, connections) as ports:
            return effect_of_last_change(ports, job.settings, job.ports.ledger)
    except SetupMissingError as error:
        return effect_unknown(error)


class CapacityForecastOperator(ItemWorkOperator):
    """Foretells from the ledger's samples what grows, and when it meets its limit. Touches nothing else."""

    def do(self, job: Job) -> "ItemOutcome":
        """Return the outlook of everything that grows."""
        from tdev_operators.core.database.capacity.planning import plan_capacity  # noqa: PLC0415  not while parsing

        return plan_capacity(job.ports.ledger, job.settings, job.ports.clock)
