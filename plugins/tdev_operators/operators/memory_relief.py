"""High memory as tasks: diagnosed, approved, relieved, concluded (guide: High Memory Usage)."""

from typing import TYPE_CHECKING, Any

from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowSkipException

from tdev_operators.operators.approval import PeopleApprovalOperator, requester_of
from tdev_operators.operators.base import MaintenanceOperator, ref_of
from tdev_operators.operators.engine_care import EngineActOperator, EngineConcludeOperator, EngineTask, EngineWork

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from tdev_operators.core.memory.relief import Relief, ReliefRequest
    from tdev_operators.core.settings import Settings
    from tdev_operators.core.verdicts import CheckResult

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


class _OfRelief(EngineTask["Relief"]):
    """A restarted engine is a recovery's business, too: the two never run beside each other."""

    item = ITEM

    def request(self, context: "Context") -> "ReliefRequest":
        """Return what the form asks for."""
        from tdev_operators.core.memory.relief import KIND, ReliefRequest  # noqa: PLC0415  not while parsing
        from tdev_operators.core.recovery.request import recovery_id_of  # noqa: PLC0415

        asked = context["params"]
        return ReliefRequest(
            recovery_id=recovery_id_of(KIND, context["dag_run"].run_id),
            requested_by=requester_of(context),
            hosts=tuple(asked["hosts"] or ()),
            force=asked["force"],
            dry_run=asked["dry_run"],
        )

    def procedure(self, work: EngineWork) -> "Relief":
        """Return the relief, as its journal stands."""
        from tdev_operators.core.memory.relief import Relief  # noqa: PLC0415  not while parsing

        settings = work.reporting.settings
        return Relief(work.ports, settings, work.request, note=work.note, progress=work.progress, check=work.check)


class MemoryDiagnoseOperator(_OfRelief, MaintenanceOperator):
    """Looks who holds the memory of each host, keeps it as evidence, and decides what is done."""

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return what will be done, whether somebody has to approve, and where the evidence stands."""
        from tdev_operators.core.memory.seeing import lines_of  # noqa: PLC0415  not while parsing
        from tdev_operators.core.recovery.approvals import refuse_strangers  # noqa: PLC0415

        with self.opened(context) as (relief, ports):
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


class MemoryApprovalOperator(_OfRelief, PeopleApprovalOperator):
    """Asks a person of the settings whether services may be restarted; nobody where nobody has to be asked."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(subject="Restart services to relieve memory?", **kwargs)

    def question(self, context: "Context") -> str:
        """Return what would be done."""
        found = self.diagnosed(context)
        if not found.get("asks"):
            raise AirflowSkipException("Nobody has to be asked.")
        acts = "\n".join(f"- {act}" for act in found["acts"])
        return (
            f"{requester_of(context)} asks to do this **now, outside the maintenance window**, until memory is no "
            f"longer high:\n\n{acts}\n\nEvidence: `{found['evidence']}`; the log of `diagnose` shows it."
        )


class MemoryRelieveOperator(_OfRelief, EngineActOperator["Relief"]):
    """Does it, measures, and waits for the evolution's next generation."""


class MemoryConcludeOperator(_OfRelief, EngineConcludeOperator["Relief"]):
    """Starts a service that was left stopped, and holds memory before against after."""

    def results(self, procedure: "Relief", settings: "Settings", left_stopped: str) -> "Sequence[CheckResult]":
        """Return what came of it."""
        from tdev_operators.core.memory.told import results_of  # noqa: PLC0415  not while parsing

        return results_of(procedure, settings, left_stopped)
