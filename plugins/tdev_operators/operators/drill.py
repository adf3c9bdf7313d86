"""The disaster recovery drill as operators (guide: monthly tasks), and the monthly look whether one is due."""

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowSkipException

from tdev_operators.operators.approval import PeopleApprovalOperator, approved_by, requester_of
from tdev_operators.operators.base import MaintenanceOperator, ref_of
from tdev_operators.operators.work import ItemWorkOperator, Job, began, recovering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.sdk import Context

    from tdev_operators.core.drill.drill import Drill, DrillRequest
    from tdev_operators.core.items import ItemOutcome
    from tdev_operators.hooks.reporting import ReportingPorts

ITEM = "drill"
DAG_ID = "tdev_dr_drill"


def drill_form() -> dict[str, Param]:
    """Return the trigger form's field."""
    words: dict[str, Any] = {"type": ["string", "null"]}
    return {
        "set": Param(
            None,
            **words,
            title="Set",
            description="A set id, its number, or a day (2026-11-25: its newest). Empty: the newest PROVEN one.",
        )
    }


class _StepOperator(MaintenanceOperator):
    """One step of the drill. The system's recovery lease is held meanwhile."""

    def step(self, drill: "Drill", ports: "ReportingPorts", context: "Context") -> dict[str, Any]:
        """Do it and return small JSON."""
        raise NotImplementedError

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return small JSON."""
        with _opened(context, self.log.info) as (drill, ports):
            return self.step(drill, ports, context)


class DrillIntendOperator(_StepOperator):
    """Writes down what the drill is going to make, and nothing else; refuses whom the settings do not name."""

    def step(self, drill: "Drill", ports: "ReportingPorts", context: "Context") -> dict[str, Any]:
        """Return where scratch objects will stand, and the set."""
        from tdev_operators.core.recovery.approvals import refuse_strangers  # noqa: PLC0415  not while parsing

        ref = ref_of(context, tier=ITEM, item=ITEM)
        ports.ledger.open_item(ref, ports.clock())
        refuse_strangers(ports.settings.recovery, drill.request.requested_by)
        ports.ledger.journal(
            ref, "drill_intended", {"asked_by": drill.request.requested_by, "prefix": drill.scratch_prefix}
        )
        drill.intend()
        choice = drill.choose()
        point = f"{choice.manifest.recovery_point:%Y-%m-%d %H:%M:%S} UTC"
        return {"set_id": choice.set_id, "recovery_point": point, "prefix": drill.scratch_prefix}


class DrillApprovalOperator(PeopleApprovalOperator):
    """Asks a person of the settings whether the drill may be held now."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(subject="Hold the disaster recovery drill now?", **kwargs)

    def question(self, context: "Context") -> str:
        """Return what the answer is about: the set, and what it costs."""
        found = context["ti"].xcom_pull(task_ids=f"{ITEM}.intend") or {}
        return (
            f"{requester_of(context)} asks to rehearse a recovery from the set {found.get('set_id')}, recovery point "
            f"{found.get('recovery_point')}.\n\nThe live system is not touched. A worker restores everything on a "
            f"disposable server, and objects below `{found.get('prefix')}` of the backups bucket; both are removed at "
            "the end. It needs disk on the worker for the databases, twice, and requests to the object store."
        )

    def note_refusal(self, context: "Context", why: str) -> None:
        """Note it in the drill's journal and in the ledger."""
        with _opened(context, self.log.info) as (drill, ports):
            drill.note_refusal(why)
            ports.ledger.journal(ref_of(context, tier=ITEM, item=ITEM), "refused", {"why": why})


class DrillApprovedOperator(_StepOperator):
    """Notes who approved, after comparing the names once more."""

    def __init__(self, *, approvals: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.approvals = approvals

    def step(self, drill: "Drill", ports: "ReportingPorts", context: "Context") -> dict[str, Any]:
        """Return who approved."""
        people = approved_by(context, self.approvals)
        drill.note_approvals(people)
        ref = ref_of(context, tier=ITEM, item=ITEM)
        ports.ledger.journal(ref, "approved", {"by": people, "asked_by": drill.request.requested_by})
        return {"approved_by": people}


class DrillRehearseOperator(_StepOperator):
    """Restores everything in the clean room, timed by phase, uses it, and sabotages a copy."""

    def step(self, drill: "Drill", ports: "ReportingPorts", context: "Context") -> dict[str, Any]:  # noqa: ARG002
        """Return the seconds of each phase."""
        from tdev_operators.core.drill.drill import REHEARSED  # noqa: PLC0415  not while parsing

        drill.rehearse()
        return {"phases": (drill.journal.done(REHEARSED) or {}).get("phases", {})}


class DrillFailoverOperator(_StepOperator):
    """Rehearses a failover to the other side, where the settings have two: every step is looked at, none is taken."""

    def step(self, drill: "Drill", ports: "ReportingPorts", context: "Context") -> dict[str, Any]:  # noqa: ARG002
        """Return what it found."""
        from tdev_operators.core.failover.rehearsal import rehearse_failover  # noqa: PLC0415  not while parsing
        from tdev_operators.hooks.assembly import airflow_connections  # noqa: PLC0415
        from tdev_operators.hooks.failover_assembly import failover_ports  # noqa: PLC0415

        settings = ports.settings
        if not settings.failover.sides:
            raise AirflowSkipException("There is no other side ([[failover.sides]]).")
        with failover_ports(settings, airflow_connections()) as sides:
            result = rehearse_failover(
                sides, settings, drill.request.recovery_id, progress=self.log.info, bystander=ports.ledger.cluster()
            )
        drill.note_failover(result)
        return {"verdict": result.verdict.value, "summary": result.summary}


class DrillClearOperator(_StepOperator):
    """Removes what the intent names. Make it the teardown of the intent, one that fails the run when it fails."""

    def step(self, drill: "Drill", ports: "ReportingPorts", context: "Context") -> dict[str, Any]:  # noqa: ARG002
        """Return how many objects were removed."""
        return {"removed": drill.clear()}


class DrillConcludeOperator(_StepOperator):
    """Sweeps what dead drills left, judges, seals the evidence, and records the outcome, however the rest ended."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trigger_rule="all_done", **kwargs)

    def step(self, drill: "Drill", ports: "ReportingPorts", context: "Context") -> dict[str, Any]:
        """Return the verdict and the evidence's number and digest."""
        from tdev_operators.core.drill.conclude import conclude  # noqa: PLC0415  not while parsing
        from tdev_operators.core.drill.evidence import SEALED  # noqa: PLC0415

        ref, now = ref_of(context, tier=ITEM, item=ITEM), ports.clock()
        started_at, known = began(ports, ref, now), ports.ledger.sealed_digests(SEALED)
        settings, sides = ports.settings, bool(ports.settings.failover.sides)
        outcome, sealed = conclude(drill, settings, started_at, now, alone=True, failover=sides, known=known)
        facts: dict[str, Any] = {}
        if sealed:
            facts = {"number": sealed.evidence.number, "sha256": sealed.sha256}
            ports.ledger.journal(ref, SEALED, {**facts, "previous_sha256": sealed.evidence.previous_sha256})
        ports.ledger.close_item(ref, outcome)
        return {"verdict": outcome.verdict.value, **facts}


class DrillDueOperator(ItemWorkOperator):
    """Looks whether a drill was proven this month, and how long a recovery would take by now."""

    def do(self, job: Job) -> "ItemOutcome":
        """Return whether one is due, and the forecast."""
        from tdev_operators.core.drill.due import due_outcome  # noqa: PLC0415  not while parsing
        from tdev_operators.core.drill.evidence import SEALED  # noqa: PLC0415
        from tdev_operators.hooks.assembly import airflow_connections  # noqa: PLC0415
        from tdev_operators.hooks.drill_assembly import drill_ports  # noqa: PLC0415

        link = f"{job.settings.alerts.ui_base_url.rstrip('/')}/dags/{DAG_ID}"
        with drill_ports(job.settings, airflow_connections()) as ports:
            return due_outcome(ports, job.settings, job.ports.clock, link, job.ports.ledger.sealed_digests(SEALED))


@contextmanager
def _opened(context: "Context", progress: "Callable[[str], None]") -> "Iterator[tuple[Drill, ReportingPorts]]":
    from tdev_operators.core.drill.drill import Drill  # noqa: PLC0415  not while parsing
    from tdev_operators.hooks.assembly import airflow_connections  # noqa: PLC0415
    from tdev_operators.hooks.drill_assembly import drill_ports  # noqa: PLC0415

    request = _request_of(context)
    with (
        recovering(request.recovery_id) as (ports, check),
        drill_ports(ports.settings, airflow_connections()) as clean_room,
    ):
        yield Drill(clean_room, ports.settings, request, progress=progress, check=check), ports


def _request_of(context: "Context") -> "DrillRequest":
    from tdev_operators.core.drill.drill import KIND, DrillRequest  # noqa: PLC0415  not while parsing
    from tdev_operators.core.recovery.request import recovery_id_of  # noqa: PLC0415

    return DrillRequest(
        recovery_id_of(KIND, context["dag_run"].run_id), requester_of(context), context["params"].get("set") or ""
    )
