"""The restore as operators (guide: Backup Restoration). Every task opens the same journal and does one step of it."""

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowSkipException

from tdev_operators.operators.approval import PeopleApprovalOperator, approved_by, requester_of
from tdev_operators.operators.base import MaintenanceOperator, ref_of
from tdev_operators.operators.quiet import quiet
from tdev_operators.operators.work import close_by_hand, recovering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.sdk import Context

    from tdev_operators.core.recovery.request import RestoreRequest
    from tdev_operators.core.recovery.restore import Restore
    from tdev_operators.hooks.reporting import ReportingPorts

ITEM = "restore"


def restore_form() -> dict[str, Param]:
    """Return the trigger form's fields."""
    names: dict[str, Any] = {"type": ["array", "null"], "items": {"type": "string"}, "uniqueItems": True}
    words: dict[str, Any] = {"type": ["string", "null"]}
    return {
        "set": Param(
            None,
            **words,
            title="Set",
            description="A set id, its number, or a day (2026-11-25: its newest). Empty: the newest PROVEN one. Or an "
            "old archive, backup-20251125.tar.gz: beside the live database only.",
        ),
        "unproven": Param(
            False,
            type="boolean",
            title="Unproven",
            description="Also take a set that nobody has restored and compared yet.",
        ),
        "database": Param(
            "beside",
            type="string",
            enum=["beside", "live", "none"],
            title="Database goes",
            description="beside: into a new database, nothing is touched. live: in the live one's place, after two "
            "approvals. none: buckets only.",
        ),
        "new_name": Param(
            None,
            **words,
            title="New name",
            description="Of the new database; empty: <name>_restored_<number of the set>.",
        ),
        "tables": Param(
            None,
            **names,
            title="Tables",
            description="Only the rows of these, without foreign keys; empty: all. Not for live.",
        ),
        "buckets": Param(None, **names, title="Buckets", description="agents, checkpoints, ...; empty: none."),
        "buckets_into": Param(
            "live",
            type="string",
            enum=["live", "scratch"],
            title="Buckets go",
            description="live: what is missing or changed is written. scratch: below a prefix of the backups bucket.",
        ),
        "overwrite_newer": Param(
            False,
            type="boolean",
            title="Overwrite newer",
            description="Also objects that were written after the set was taken.",
        ),
        "remove_surplus": Param(
            False, type="boolean", title="Remove surplus", description="Remove objects that are not in the set."
        ),
        "slots": Param(
            False,
            type="boolean",
            title="Slots",
            description="Accept that replication slots of the live database start over.",
        ),
        "no_safety_set": Param(
            False,
            type="boolean",
            title="No safety set",
            description="The live database is too broken to be dumped: the renamed original is the safety copy.",
        ),
        "dry_run": Param(False, type="boolean", title="Dry run", description="Only say what would be done."),
    }


class _StepOperator(MaintenanceOperator):
    """One step of the restore that the form asks for. The system's recovery lease is held meanwhile."""

    is_done_dry = False  # whether a dry run does it too

    def __init__(self, *, trigger_rule: str = "none_failed", **kwargs: Any) -> None:
        super().__init__(trigger_rule=trigger_rule, **kwargs)

    def step(self, restore: "Restore", ports: "ReportingPorts", context: "Context") -> dict[str, Any]:
        """Do it and return small JSON."""
        raise NotImplementedError

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return small JSON."""
        if context["params"].get("dry_run") and not self.is_done_dry:
            raise AirflowSkipException("This is a dry run: nothing is touched.")
        with _opened(context, self.log.info) as (restore, ports):
            return self.step(restore, ports, context)


class RestorePreflightOperator(_StepOperator):
    """Chooses the set and says what would be done; refuses what cannot be, and whom the settings do not name."""

    is_done_dry = True

    def step(self, restore: "Restore", ports: "ReportingPorts", context: "Context") -> dict[str, Any]:
        """Return the set and what there is to know, for the approval."""
        from tdev_operators.core.recovery.approvals import refuse_strangers  # noqa: PLC0415  not while parsing

        ports.ledger.open_item(ref_of(context, tier=ITEM, item=ITEM), ports.clock())
        refuse_strangers(ports.settings.recovery, restore.request.requested_by)
        chosen, told = restore.chosen(), restore.preflight()
        for line in told:
            self.log.info("%s", line)
        return {**{name: chosen[name] for name in ("set_id", "recovery_point", "missing")}, "told": told}


class RestoreApprovalOperator(PeopleApprovalOperator):
    """Asks a person of the settings whether the live database may be replaced; skipped where it is not."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(subject="Replace the live database?", **kwargs)

    def question(self, context: "Context") -> str:
        """Return what the answer is about: the set, and what is lost."""
        request = request_of(context)
        if not request.replaces_live or context["params"].get("dry_run"):
            raise AirflowSkipException("The live database is not replaced: nobody is asked.")
        found = context["ti"].xcom_pull(task_ids=f"{ITEM}.preflight") or {}
        told = "\n".join(f"- {line}" for line in found.get("told", ()))
        missing = f"\n\n**The set is not PROVEN: {found['missing']}.**" if found.get("missing") else ""
        return (
            f"{request.requested_by} asks to replace the live database by the set {found.get('set_id')}, recovery "
            f"point {found.get('recovery_point')}. What was written since is lost to the application; the renamed "
            f"original keeps it.{missing}\n\nThe restored database is proven, then services are stopped. Until it "
            f"is opened to the application, everything is taken back by itself.\n\n{told}"
        )

    def note_refusal(self, context: "Context", why: str) -> None:
        """Note it in the recovery's journal and in the ledger."""
        with _opened(context, self.log.info) as (restore, ports):
            restore.note_refusal(why)
            ports.ledger.journal(ref_of(context, tier=ITEM, item=ITEM), "refused", {"why": why})


class RestoreApprovedOperator(_StepOperator):
    """Notes in the journal who approved, after comparing the names once more; skipped where nobody was asked."""

    def __init__(self, *, approvals: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.approvals = approvals

    def step(self, restore: "Restore", ports: "ReportingPorts", context: "Context") -> dict[str, Any]:
        """Return who approved."""
        if not restore.request.replaces_live:
            raise AirflowSkipException("The live database is not replaced: nobody was asked.")
        people = approved_by(context, self.approvals)
        restore.note_approvals(people)
        ref = ref_of(context, tier=ITEM, item=ITEM)
        ports.ledger.journal(ref, "approved", {"by": people, "asked_by": restore.request.requested_by})
        return {"approved_by": people}


class RestoreSafetySetOperator(_StepOperator):
    """Takes a set of the live database before it is replaced; skipped where it is not, or where that is impossible."""

    def step(self, restore: "Restore", ports: "ReportingPorts", context: "Context") -> dict[str, Any]:  # noqa: ARG002
        """Return the set's id."""
        from tdev_operators.core.backup.take import Request, take_set  # noqa: PLC0415  not while parsing
        from tdev_operators.operators.backup import alone  # noqa: PLC0415

        if not restore.request.replaces_live or restore.request.no_safety_set:
            raise AirflowSkipException("No safety set is taken in this restore.")
        request = Request(holder=f"{restore.request.recovery_id} safety", databases=(restore.source_name,))
        with alone(ports, request.holder, lambda: None) as (backup, check):
            taken = take_set(backup, ports.settings, request, check=check, progress=self.log.info)
        restore.note_safety_set(taken.manifest.set_id)
        return {"set_id": taken.manifest.set_id}


class RestoreDatabaseOperator(_StepOperator):
    """Restores the database beside the live one, and proves it there."""

    def step(self, restore: "Restore", ports: "ReportingPorts", context: "Context") -> dict[str, Any]:  # noqa: ARG002
        """Return what stands there."""
        restored = restore.restore_database()
        if restored is None:
            raise AirflowSkipException("No database is restored.")
        return {"database": restored.name, "proven": restored.is_proven, "rows": restored.rows}


class RestoreBucketsOperator(_StepOperator):
    """Restores the buckets that the form names."""

    def step(self, restore: "Restore", ports: "ReportingPorts", context: "Context") -> dict[str, Any]:  # noqa: ARG002
        """Return how many objects were written."""
        if not restore.request.buckets:
            raise AirflowSkipException("No bucket is restored.")
        return {bucket.name: bucket.written for bucket in restore.restore_buckets()}


class RestoreReplaceOperator(_StepOperator):
    """Stops the services, gives the restored database the live one's name, opens it, starts the services."""

    def step(self, restore: "Restore", ports: "ReportingPorts", context: "Context") -> dict[str, Any]:
        """Return the names, and how the system is afterwards."""
        from tdev_operators.core.health.run import run_health_check  # noqa: PLC0415  not while parsing
        from tdev_operators.hooks.assembly import airflow_connections, system_ports  # noqa: PLC0415

        if not restore.request.replaces_live:
            raise AirflowSkipException("The live database is not replaced.")
        with quiet(ports, restore.request.recovery_id, "the live database is being replaced"):
            places = restore.replace_live()
        ports.ledger.journal(
            ref_of(context, tier=ITEM, item=ITEM), "replaced", {"live": places.live_name, "kept_as": places.old_name}
        )
        outcome = run_health_check(system_ports(ports.settings, airflow_connections()), ports.settings)
        restore.note_health(outcome)
        return {"live": places.live_name, "kept_as": places.old_name, "health": outcome.verdict.value}


class RestoreSettleOperator(_StepOperator):
    """Takes back what is half-done, whatever ended early, and records the outcome from the journal."""

    is_done_dry = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trigger_rule="all_done", **kwargs)

    def step(self, restore: "Restore", ports: "ReportingPorts", context: "Context") -> dict[str, Any]:
        """Return what was settled, and the verdict."""
        from tdev_operators.core.recovery.told import results_of  # noqa: PLC0415  not while parsing

        settled = restore.settle()
        self.log.info("%s", settled)
        results = results_of(restore.journal, ports.clock(), dry_run=bool(context["params"].get("dry_run")))
        outcome = close_by_hand(
            ports, ref_of(context, tier=ITEM, item=ITEM), results, otherwise=restore.journal.entries[0].at
        )
        return {"settled": settled, "verdict": outcome.verdict.value, "journal": restore.journal.place}


@contextmanager
def _opened(context: "Context", progress: "Callable[[str], None]") -> "Iterator[tuple[Restore, ReportingPorts]]":
    from tdev_operators.core.recovery.archive_restore import restore_kind  # noqa: PLC0415  not while parsing
    from tdev_operators.hooks.assembly import airflow_connections  # noqa: PLC0415
    from tdev_operators.hooks.recovery_assembly import recovery_ports  # noqa: PLC0415

    request = request_of(context)
    with (
        recovering(request.recovery_id) as (ports, check),
        recovery_ports(ports.settings, airflow_connections()) as recovery,
    ):
        kind = restore_kind(request.which)
        yield kind(recovery, ports.settings, request, progress=progress, check=check), ports


def request_of(context: "Context") -> "RestoreRequest":
    """Return what the form asks for.

    Raises:
        InputError: the fields contradict each other.
    """
    from tdev_operators.core.recovery.request import RestoreRequest, recovery_id_of  # noqa: PLC0415  not while parsing

    asked, run = context["params"], context["dag_run"]
    return RestoreRequest(
        recovery_id=recovery_id_of(ITEM, run.run_id),
        requested_by=requester_of(context),
        which=asked.get("set") or "",
        unproven=asked["unproven"],
        database=asked["database"],
        new_name=asked.get("new_name") or "",
        tables=tuple(asked.get("tables") or ()),
        buckets=tuple(asked.get("buckets") or ()),
        buckets_into=asked["buckets_into"],
        overwrite_newer=asked["overwrite_newer"],
        remove_surplus=asked["remove_surplus"],
        slots=asked["slots"],
        no_safety_set=asked["no_safety_set"],
    )
