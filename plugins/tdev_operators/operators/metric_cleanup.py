"""Retention as an operator (guide: Metric Cleanup): old rows go, once a week, and the receipt says which."""

from typing import TYPE_CHECKING, Any

from airflow.sdk import Param

from tdev_operators.operators.work import ItemWorkOperator, Job

if TYPE_CHECKING:
    from tdev_operators.core.items import ItemOutcome

DRY_RUN = "care_dry_run"


def care_form() -> dict[str, Param]:
    """Return the trigger form's field of the database's care. Scheduled runs ignore it."""
    return {
        DRY_RUN: Param(
            False,
            type="boolean",
            title="Dry run of the database's care",
            description="Change nothing: the report has the exact statements instead.",
        )
    }


class MetricCleanupOperator(ItemWorkOperator):
    """Archives and removes the rows whose time has come, in every table of `[[retention.rules]]`."""

    def do(self, job: Job) -> "ItemOutcome":
        """Return one result a table, and the balance over all of them."""
        from tdev_operators.core.database.retention.run import Request, clean  # noqa: PLC0415  not while parsing
        from tdev_operators.core.items import ItemOutcome  # noqa: PLC0415
        from tdev_operators.core.recovery.request import recovery_id_of  # noqa: PLC0415
        from tdev_operators.hooks.assembly import airflow_connections  # noqa: PLC0415
        from tdev_operators.hooks.database_assembly import care_ports  # noqa: PLC0415

        run, started_at = job.context["dag_run"], job.ports.clock()
        asked: dict[str, Any] = dict(job.context["params"]) if run.run_type.value == "manual" else {}
        request = Request(recovery_id_of("retention", job.ref.run_id), dry_run=bool(asked.get(DRY_RUN)))
        with care_ports(job.settings, airflow_connections()) as ports:
            results = clean(
                ports,
                job.settings,
                request,
                journal=lambda event, facts: job.ports.ledger.journal(job.ref, event, facts),
                progress=self.log.info,
                check=job.check,
            )
        job.returned["retention_id"] = request.run_id
        return ItemOutcome(results, started_at, job.ports.clock())
