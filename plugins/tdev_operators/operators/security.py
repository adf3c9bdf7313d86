"""Security as operators (guide: Security Scanning): the daily scan, and the weekly audit."""

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


class SecurityAuditOperator(ItemWorkOperator):
    """Scans everything anew, and looks at who may do what, what lies open, and what changed since it was accepted."""

    def do(self, job: Job) -> "ItemOutcome":
        """Return the results of the audit's looks, and those of a scan that skips nothing."""
        from tdev_operators.core.items import ItemOutcome  # noqa: PLC0415  not while parsing
        from tdev_operators.core.security.audit.run import audit  # noqa: PLC0415
        from tdev_operators.core.security.check_names import looks_switched_off, switched_off  # noqa: PLC0415
        from tdev_operators.core.security.run import moment_of_run, scan_all  # noqa: PLC0415
        from tdev_operators.hooks.assembly import airflow_connections  # noqa: PLC0415
        from tdev_operators.hooks.audit_assembly import audit_ports  # noqa: PLC0415
        from tdev_operators.hooks.security_assembly import scan_ports  # noqa: PLC0415

        started_at, connections = job.ports.clock(), airflow_connections()
        at = moment_of_run(job.context["dag_run"].run_after, started_at)
        looks_off, scans_off = looks_switched_off(job.settings), switched_off(job.settings)
        with audit_ports(job.settings, connections) as ports:
            looked = audit(
                ports,
                job.settings,
                job.ports.ledger,
                at=at,
                switched_off=frozenset(one.check for one in looks_off),
                progress=self.log.info,
                check=job.check,
            )
        with scan_ports(job.settings, connections) as scanning:
            scanned = scan_all(
                scanning,
                job.settings,
                at=at,
                whole=True,
                switched_off=frozenset(one.check for one in scans_off),
                progress=self.log.info,
                check=job.check,
            )
        return ItemOutcome((*looked, *scanned), started_at, job.ports.clock(), (*looks_off, *scans_off))
