"""Back-ups as operators: taking a set, verifying it, telling Airflow by assets (guide: Backup Procedures)."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, Param

from tdev_operators.core.errors import BusyError
from tdev_operators.core.leases import refusal_when_lost
from tdev_operators.operators.base import MaintenanceOperator, task_ports
from tdev_operators.operators.links import SetLink
from tdev_operators.operators.work import ItemWorkOperator, Job

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.sdk import Context

    from tdev_operators.core.backup.take import BackupPorts
    from tdev_operators.core.items import ItemOutcome
    from tdev_operators.core.verdicts import CheckResult
    from tdev_operators.hooks.reporting import ReportingPorts

# By name alone: for a URI with a scheme Airflow loads every provider that could know it, boto3 included.
COMPLETE = Asset("tdev/backup/complete")
PROVEN = Asset("tdev/backup/proven")

FULL, DATABASES, BUCKETS = "backup_full", "backup_databases", "backup_buckets"


def backup_form() -> dict[str, Param]:
    """Return the trigger form's fields of a back-up. Scheduled runs ignore them."""
    # With "null" the field may stay empty; Airflow's form demands something of every other.
    names: dict[str, Any] = {"type": ["array", "null"], "items": {"type": "string"}, "uniqueItems": True}
    return {
        FULL: Param(
            False,
            type="boolean",
            title="Full set",
            description="Copy everything anew, instead of referring to what earlier sets hold.",
        ),
        DATABASES: Param(None, **names, title="Databases", description="Only these; empty: all of the settings."),
        BUCKETS: Param(None, **names, title="Buckets", description="Only these (agents, ...); empty: all."),
    }


class BackupTakeOperator(ItemWorkOperator):
    """Takes a set and makes it COMPLETE. `full` copies everything anew; a manual run's form may ask for that too."""

    operator_extra_links = (SetLink(),)

    def __init__(self, *, full: bool = False, **kwargs: Any) -> None:
        super().__init__(outlets=[COMPLETE], **kwargs)
        self.full = full

    def do(self, job: Job) -> "ItemOutcome":
        """Return what there is to say about the set."""
        started_at = job.ports.clock()
        return _outcome(job, started_at, self._taken(job))

    def _taken(self, job: Job) -> tuple["CheckResult", ...]:
        from tdev_operators.core.backup.take import Request, take_set  # noqa: PLC0415  not while parsing

        asked = _asked(job.context)
        request = Request(
            holder=f"{job.ref.dag_id} {job.ref.run_id} {job.ref.item}",
            full=self.full or bool(asked.get(FULL)),
            databases=tuple(asked.get(DATABASES) or ()),
            buckets=tuple(asked.get(BUCKETS) or ()),
        )
        with alone(job.ports, f"{job.ref.dag_id} {job.ref.run_id}", job.check) as (ports, check):
            taken = take_set(ports, job.settings, request, check=check, progress=self.log.info)
            _index(job, ports)
        job.returned["set_id"] = taken.manifest.set_id
        job.context["outlet_events"][COMPLETE].extra = {"set_id": taken.manifest.set_id}
        return taken.results


class BackupVerifyOperator(ItemWorkOperator):
    """Reads the newest set back, restores it on a disposable server, compares, attests, and applies the keep rules."""

    operator_extra_links = (SetLink(),)

    def do(self, job: Job) -> "ItemOutcome":
        """Return what there is to say about tonight's set."""
        started_at = job.ports.clock()
        return _outcome(job, started_at, _verify(job, self.log.info))


class FullBackupOperator(BackupTakeOperator):
    """Takes a full set and verifies it at once (guide: Monday, full system backup)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(full=True, **kwargs)

    def do(self, job: Job) -> "ItemOutcome":
        """Return what there is to say about the set and its proof."""
        started_at = job.ports.clock()
        return _outcome(job, started_at, (*self._taken(job), *_verify(job, self.log.info)))


class BackupProvenOperator(MaintenanceOperator):
    """Tells Airflow that a set is PROVEN, so that others can schedule on it. Put it behind the verification's judge."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(outlets=[PROVEN], **kwargs)

    def execute(self, context: "Context") -> dict[str, str]:
        """Return the newest PROVEN set's id, which is the asset event's extra as well."""
        from tdev_operators.core.backup.manifest import State  # noqa: PLC0415  not while parsing
        from tdev_operators.core.backup.repository import Repository  # noqa: PLC0415
        from tdev_operators.core.errors import ProofFailedError  # noqa: PLC0415
        from tdev_operators.hooks.assembly import airflow_connections  # noqa: PLC0415
        from tdev_operators.hooks.backup_assembly import backup_ports  # noqa: PLC0415

        settings = task_ports().settings
        with backup_ports(settings, airflow_connections()) as ports:
            found = Repository(ports.store, settings.buckets.backups, settings.system.name).newest(State.PROVEN)
        if found is None:
            raise ProofFailedError("There is no PROVEN set, so that none is announced; read the verification's report.")
        context["outlet_events"][PROVEN].extra = {"set_id": found.set_id}
        return {"set_id": found.set_id}


@contextmanager
def alone(
    ports: "ReportingPorts", holder: str, check: Callable[[], None]
) -> Iterator[tuple["BackupPorts", Callable[[], None]]]:
    """Hold the system's back-up lease: no two back-ups, and no retention beside one, whoever started them."""
    from tdev_operators.core.backup.take import backup_lease  # noqa: PLC0415  not while parsing
    from tdev_operators.hooks.assembly import airflow_connections  # noqa: PLC0415
    from tdev_operators.hooks.backup_assembly import backup_ports  # noqa: PLC0415

    name = backup_lease(ports.settings.system.name)
    with ports.ledger.lease(name, holder) as lease, backup_ports(ports.settings, airflow_connections()) as opened:
        still_ours = refusal_when_lost(lease, name)

        def check_both() -> None:
            check()
            still_ours()

        yield opened, check_both


def _verify(job: Job, progress: Callable[[str], None]) -> tuple["CheckResult", ...]:
    from tdev_operators.core.backup.verification import verify_newest  # noqa: PLC0415  not while parsing
    from tdev_operators.core.backup.verified import still_running  # noqa: PLC0415

    ledger, system = job.ports.ledger, job.settings.system.name
    with ExitStack() as stack:
        try:
            ports, check = stack.enter_context(alone(job.ports, f"{job.ref.dag_id} {job.ref.run_id}", job.check))
        except BusyError as error:  # a back-up that runs into its own verification is no back-up of tonight
            return (still_running(str(error)),)
        verified = verify_newest(
            ports,
            job.settings,
            check=check,
            progress=progress,
            journal=lambda event, facts: ledger.journal(job.ref, event, facts),
            known_before=lambda: ledger.known_sets(system),
        )
        _index(job, ports)
    job.returned["set_id"] = verified.set_id
    return verified.results


def _index(job: Job, ports: "BackupPorts") -> None:
    """Bring the ledger's index of the sets up to date."""
    from tdev_operators.core.backup.repository import Repository  # noqa: PLC0415  not while parsing
    from tdev_operators.core.backup.set_index import line_of  # noqa: PLC0415

    system = job.settings.system.name
    repository = Repository(ports.store, job.settings.buckets.backups, system)
    place = f"s3://{repository.bucket}/"
    lines = [line_of(one, place + repository.folder(one.set_id)) for one in repository.sets()]
    job.ports.ledger.index_sets(system, lines)


def _outcome(job: Job, started_at: "datetime", results: "Iterable[CheckResult]") -> "ItemOutcome":
    from tdev_operators.core.backup.check_names import in_scope  # noqa: PLC0415  not while parsing
    from tdev_operators.core.items import ItemOutcome  # noqa: PLC0415

    counted, out_of_scope = in_scope(results, job.settings)
    return ItemOutcome(counted, started_at, job.ports.clock(), out_of_scope)


def _asked(context: "Context") -> dict[str, Any]:
    run = context["dag_run"]
    return dict(context["params"]) if run.run_type.value == "manual" else {}
