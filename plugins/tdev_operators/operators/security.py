"""The daily security scan as an operator (guide: Security Scanning)."""

from typing import TYPE_CHECKING

from tdev_operators.operators.work import ItemWorkOperator, Job

if TYPE_CHECKING:
    from tdev_operators.core.items import ItemOutcome


class SecurityScanOperator(ItemWorkOperator):
    """Scans every target of `[[security.targets]]` with every scanner that fits it, and judges what is open."""

    def do(self, job: Job) -> "ItemOutcome":
        """Return one result a scanner, and the judgement of the findings ledger."""
        from tdev_operators.core.items import ItemOutcome  # noqa: PLC0415  not while parsing
        from tdev_operators.core.security.check_names import switched_off  # noqa: PLC0415
        from tdev_operators.core.security.run import moment_of_run, scan_all  # noqa: PLC0415
        from tdev_operators.hooks.assembly import airflow_connections  # noqa: PLC0415
        from tdev_operators.hooks.security_assembly import scan_ports  # noqa: PLC0415

        started_at, off = job.ports.clock(), switched_off(job.settings)
        with scan_ports(job.settings, airflow_connections()) as ports:
            results = scan_all(
                ports,
                job.settings,
                at=moment_of_run(job.context["dag_run"].run_after, started_at),
                switched_off=frozenset(one.check for one in off),
                progress=self.log.info,
                check=job.check,
            )
        return ItemOutcome(results, started_at, job.ports.clock(), off)
