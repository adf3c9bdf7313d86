"""Retention as an operator (guide: Metric Cleanup): old rows go, once a week, and the receipt says which."""

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tdev_operators.operators.database_care import is_dry_run
from tdev_operators.operators.work import ItemWorkOperator, Job, holding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.sdk import Context

    from tdev_operators.core.database.ports import CarePorts
    from tdev_operators.core.items import ItemOutcome
    from tdev_operators.hooks.reporting import ReportingPorts


class MetricCleanupOperator(ItemWorkOperator):
    """Archives and removes rows whose time has come, in each table of `[[retention.rules]]`; and our old records."""

    def do(self, job: Job) -> "ItemOutcome":
        """Return one result a table, the balance, what conversions left standing, what went from our ledger."""
        from tdev_operators.core.database.conversion.left_over import left_over  # noqa: PLC0415
        from tdev_operators.core.database.retention.records import drop_old_records  # noqa: PLC0415
        from tdev_operators.core.database.retention.run import Request, clean  # noqa: PLC0415
        from tdev_operators.core.items import ItemOutcome  # noqa: PLC0415
        from tdev_operators.core.recovery.request import recovery_id_of  # noqa: PLC0415
        from tdev_operators.core.scope import in_scope  # noqa: PLC0415  not while parsing
        from tdev_operators.hooks.assembly import airflow_connections  # noqa: PLC0415
        from tdev_operators.hooks.database_assembly import care_ports  # noqa: PLC0415

        started_at = job.ports.clock()
        request = Request(recovery_id_of("retention", job.ref.run_id), dry_run=is_dry_run(job))
        with care_ports(job.settings, airflow_connections()) as ports:
            results = clean(
                ports,
                job.settings,
                request,
                journal=lambda event, facts: job.ports.ledger.journal(job.ref, event, facts),
                progress=self.log.info,
                check=job.check,
            )
            beside = left_over(ports, job.settings)
        job.returned["retention_id"] = request.run_id
        records = drop_old_records(job.ports.ledger, job.settings, started_at, dry_run=request.dry_run)
        counted, out_of_scope = in_scope((*results, *([beside] if beside else []), records), job.settings)
        return ItemOutcome(counted, started_at, job.ports.clock(), out_of_scope)


@contextmanager
def instead_of_cleanup(context: "Context") -> "Iterator[tuple[CarePorts, ReportingPorts, Callable[[], None]]]":
    """Hold the lease of the weekly item while people do something by hand with rows that it would remove.

    Yields the ports, and what raises a BusyError once the lease is lost.
    """
    from tdev_operators.hooks.assembly import airflow_connections  # noqa: PLC0415  not while parsing
    from tdev_operators.hooks.database_assembly import care_ports  # noqa: PLC0415

    run = context["dag_run"]
    with (
        holding("item:metric_cleanup", f"{run.dag_id} {run.run_id}") as (reporting, check),
        care_ports(reporting.settings, airflow_connections()) as ports,
    ):
        yield ports, reporting, check
