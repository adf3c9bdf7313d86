"""Certificates as operators (guide: Certificate Management): each day, and one by hand."""

from typing import TYPE_CHECKING, Any

from airflow.sdk import Param

from tdev_operators.operators.base import MaintenanceOperator, ref_of
from tdev_operators.operators.work import ItemWorkOperator, Job, close_by_hand, holding

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tdev_operators.core.items import ItemOutcome

ITEM = "renew_certificate"


def certificate_form() -> dict[str, Param]:
    """Return the trigger form's fields."""
    return {
        "certificate": Param(
            "",
            type="string",
            minLength=1,
            title="Certificate",
            description="The name under which it is served, of [[certificates.managed]]: api.t-developer.com.",
        ),
        "force": Param(
            False,
            type="boolean",
            title="Force",
            description="Also when it is not due. A CA gives out only so many certificates a week.",
        ),
        "dry_run": Param(True, type="boolean", title="Dry run", description="Say what would be done, and stop."),
    }


class CertificateManageOperator(ItemWorkOperator):
    """Looks at every certificate, renews those that are due, and proves that the new ones are served."""

    def do(self, job: Job) -> "ItemOutcome":
        """Return one result a certificate."""
        from tdev_operators.core.certificates.check_names import switched_off  # noqa: PLC0415  not while parsing
        from tdev_operators.core.certificates.run import manage  # noqa: PLC0415
        from tdev_operators.core.items import ItemOutcome  # noqa: PLC0415
        from tdev_operators.hooks.assembly import airflow_connections  # noqa: PLC0415
        from tdev_operators.hooks.certificate_assembly import certificate_ports  # noqa: PLC0415

        started_at, off = job.ports.clock(), switched_off(job.settings)
        results = manage(
            certificate_ports(job.settings, airflow_connections()),
            job.settings,
            switched_off=frozenset(one.check for one in off),
            note=lambda event, facts: job.ports.ledger.journal(job.ref, event, facts),
            progress=self.log.info,
            check=job.check,
        )
        return ItemOutcome(results, started_at, job.ports.clock(), off)


class CertificateRenewOperator(MaintenanceOperator):
    """Renews one certificate that people name, in place of the daily item; records the outcome."""

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the verdict and its sentence."""
        from tdev_operators.core.certificates.run import Wanted, manage  # noqa: PLC0415  not while parsing
        from tdev_operators.hooks.assembly import airflow_connections  # noqa: PLC0415
        from tdev_operators.hooks.certificate_assembly import certificate_ports  # noqa: PLC0415

        ref, asked, run = ref_of(context, tier=ITEM, item=ITEM), context["params"], context["dag_run"]
        wanted = Wanted(only=asked["certificate"].strip(), forced=asked["force"], dry_run=asked["dry_run"])
        with holding("item:certificate_management", f"{run.dag_id} {run.run_id}") as (ports, check):
            ports.ledger.open_item(ref, ports.clock())
            results = manage(
                certificate_ports(ports.settings, airflow_connections()),
                ports.settings,
                wanted,
                note=lambda event, facts: ports.ledger.journal(ref, event, facts),
                progress=self.log.info,
                check=check,
            )
            for result in results:
                for line in result.details:
                    self.log.info("%s", line)
            outcome = close_by_hand(ports, ref, results)
        return {"verdict": outcome.verdict.value, "summary": results[0].summary}
