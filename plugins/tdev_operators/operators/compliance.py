"""The compliance audit as an operator (guide: Compliance audit)."""

from typing import TYPE_CHECKING

from tdev_operators.operators.work import ItemWorkOperator, Job

if TYPE_CHECKING:
    from tdev_operators.core.items import ItemOutcome


class ComplianceAuditOperator(ItemWorkOperator):
    """Holds every control of the profile against ledger and store, and seals what was found."""

    def do(self, job: Job) -> "ItemOutcome":
        """Return one result a control, and the record's."""
        from tdev_operators.core.compliance.audit import audit  # noqa: PLC0415  not while parsing
        from tdev_operators.core.compliance.ground import Ground  # noqa: PLC0415
        from tdev_operators.core.items import ItemOutcome  # noqa: PLC0415
        from tdev_operators.hooks.assembly import airflow_connections  # noqa: PLC0415
        from tdev_operators.hooks.backup_store import S3BackupStore  # noqa: PLC0415
        from tdev_operators.hooks.compliance_records import LedgerRecords  # noqa: PLC0415
        from tdev_operators.hooks.ledger_database import CONNECTION  # noqa: PLC0415

        started_at, connections = job.ports.clock(), airflow_connections()
        records = LedgerRecords(connections.get(CONNECTION), job.settings.system.name)
        with S3BackupStore.of(job.settings.backup, connections) as store:
            found = audit(
                Ground(records, store, job.settings, started_at),
                job.ref.run_id,
                lambda event, facts: job.ports.ledger.journal(job.ref, event, facts),
            )
        job.returned["report"] = found.report
        return ItemOutcome(found.results, started_at, job.ports.clock(), found.out_of_scope)
