"""Thursday's care of the database as an operator (guide: Database Optimization)."""

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
            description="Change nothing in database and archive; the reports show every statement that would be run.",
        ),
    }


def is_dry_run(job: Job) -> bool:
    """Whether a person asked for a dry run."""
    asked: dict[str, Any] = dict(job.context["params"])
    return job.context["dag_run"].run_type.value == "manual" and bool(asked.get(DRY_RUN))


class DatabaseCareOperator(ItemWorkOperator):
    """Vacuums and analyzes by need, rebuilds measured indexes, sweeps leftovers, advises on indexes."""

    def do(self, job: Job) -> "ItemOutcome":
        """Return what was done and what there is to say."""
        from tdev_operators.core.database.care.run import care_for_database  # noqa: PLC0415  not while parsing
        from tdev_operators.hooks.assembly import airflow_connections  # noqa: PLC0415
        from tdev_operators.hooks.database_assembly import care_ports  # noqa: PLC0415

        with care_ports(job.settings, airflow_connections()) as ports:
            return care_for_database(
                ports,
                job.settings,
                job.ports.ledger,
                job.ref,
                check=job.check,
                progress=self.log.info,
                dry_run=is_dry_run(job),
            )
