"""High memory as tasks: diagnosed, approved, relieved, concluded (guide: High Memory Usage)."""

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowSkipException

from tdev_operators.operators.approval import PeopleApprovalOperator, approved_by, requester_of
from tdev_operators.operators.base import MaintenanceOperator, ref_of
from tdev_operators.operators.engine_care import TRIES_WHILE_BUSY, at_the_engine, settled
from tdev_operators.operators.work import close_by_hand, recovering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.sdk import Context

    from tdev_operators.core.memory.relief import Relief, ReliefRequest
    from tdev_operators.hooks.reporting import ReportingPorts

ITEM = "relieve_memory"


def memory_relief_form() -> dict[str, Param]:
    """Return the trigger form's fields."""
    return {
        "dry_run": Param(
            True,
            type="boolean",
            title="Dry run",
            description="Show who holds the memory of each host, keep that as evidence, and touch nothing.",
        ),
        "hosts": Param(
            None,
            type=["array", "null"],
            items={"type": "string"},
            uniqueItems=True,
            title="Hosts",
            description="Only these of [[hosts]]; empty: all.",
        ),
        "force": Param(False, type="boolean", title="Force", description="Also where memory is not high."),
    }


class MemoryDiagnoseOperator(MaintenanceOperator):
    """Looks who holds the memory of each host, keeps it as evidence, and decides what is done."""

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return what will be done, whether somebody has to approve, and where the evidence stands."""
        from tdev_operators.core.memory.seeing import lines_of  # noqa: PLC0415  not while parsing
        from tdev_operators.core.recovery.approvals import refuse_strangers  # noqa: PLC0415

        with _opened(context, self.log.info) as (relief, ports):
            ports.ledger.open_item(ref_of(context, tier=ITEM, item=ITEM), ports.clock())
            dry = relief.request.dry_run
            if not dry:
                refuse_strangers(ports.settings.recovery, requester_of(context))
            acts = relief.diagnose()
            for name, seen in (relief.seen or {"hosts": {}})["hosts"].items():
                for line in lines_of(name, seen):
                    self.log.info("%s", line)
            return {
                "acts": [] if dry else [act.step for act in acts],
                "asks": not dry and relief.needs_approval(acts),
                "evidence": relief.evidence_place,
            }


class MemoryApprovalOperator(PeopleApprovalOperator):
    """Asks a person of the settings whether services may be restarted; nobody where nobody has to be asked."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(subject="Restart services to relieve memory?", **kwargs)

    def question(self, context: "Context") -> str:
        """Return what would be done."""
        found = context["ti"].xcom_pull(task_ids=f"{ITEM}.diagnose") or {}
        if not found.get("asks"):
            raise AirflowSkipException("Nobody has to be asked.")
        acts = "\n".join(f"- {act}" for act in found["acts"])
        return (
            f"{requester_of(context)} asks to do this **now, outside the maintenance window**, until memory is no "
            f"longer high:\n\n{acts}\n\nEvidence: `{found['evidence']}`; the log of `diagnose` shows it."
        )

    def note_refusal(self, context: "Context", why: str) -> None:
        """Note it in the journal and in the ledger."""
        with _opened(context, self.log.info) as (relief, ports):
            relief.note_refusal(why)
            ports.ledger.journal(ref_of(context, tier=ITEM, item=ITEM), "refused", {"why": why})


class MemoryRelieveOperator(MaintenanceOperator):
    """Does it, measures, and waits for the evolution's next generation. Done again, it goes on where it was."""

    def __init__(self, *, approvals: list[str], **kwargs: Any) -> None:
        super().__init__(trigger_rule="none_failed", **kwargs)
        self.approvals = approvals

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return where the journal stands."""
        found = context["ti"].xcom_pull(task_ids=f"{ITEM}.diagnose") or {}
        if not found.get("acts"):
            raise AirflowSkipException("Nothing is to be done.")
        with _opened(context, self.log.info, alone=True, or_else_nothing=True) as (relief, _):
            if people := approved_by(context, self.approvals):
                relief.note_approvals(people)
            with recovering(relief.request.relief_id, or_else_nothing=True):
                relief.act()
            relief.wait()
            return {"journal": relief.journal.place}


class MemoryConcludeOperator(MaintenanceOperator):
    """Starts a service that was left stopped, holds memory before against after, and records the outcome."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trigger_rule="all_done", **{"retries": TRIES_WHILE_BUSY, **kwargs})

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the verdict."""
        from tdev_operators.core.memory.told import results_of  # noqa: PLC0415  not while parsing

        with _opened(context, self.log.info) as (relief, _):
            half_done = relief.is_half_done
        why = settled(context, self, lambda: self._settle(context)) if half_done else ""
        with _opened(context, self.log.info) as (relief, ports):
            results = results_of(relief, ports.settings, why)
            outcome = close_by_hand(ports, ref_of(context, tier=ITEM, item=ITEM), results)
        return {"verdict": outcome.verdict.value}

    def _settle(self, context: "Context") -> str:
        """Start it while nobody else is at work: what a restore has stopped must not be started under it."""
        with _opened(context, self.log.info, alone=True) as (relief, _), recovering(relief.request.relief_id):
            return relief.settle()


@contextmanager
def _opened(
    context: "Context", progress: "Callable[[str], None]", *, alone: bool = False, or_else_nothing: bool = False
) -> "Iterator[tuple[Relief, ReportingPorts]]":
    from tdev_operators.core.memory.relief import Relief  # noqa: PLC0415  not while parsing

    # A restarted engine is a recovery's business, too: the two never run beside each other.
    with at_the_engine(context, ITEM, alone=alone, or_else_nothing=or_else_nothing) as work:
        settings = work.reporting.settings
        relief = Relief(work.ports, settings, request_of(context), note=work.note, progress=progress, check=work.check)
        yield relief, work.reporting


def request_of(context: "Context") -> "ReliefRequest":
    """Return what the form asks for."""
    from tdev_operators.core.memory.relief import KIND, ReliefRequest  # noqa: PLC0415  not while parsing
    from tdev_operators.core.recovery.request import recovery_id_of  # noqa: PLC0415

    asked = context["params"]
    return ReliefRequest(
        relief_id=recovery_id_of(KIND, context["dag_run"].run_id),
        requested_by=requester_of(context),
        hosts=tuple(asked["hosts"] or ()),
        force=asked["force"],
        dry_run=asked["dry_run"],
    )
