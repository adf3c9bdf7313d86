"""A stalled evolution as tasks: diagnosed, approved, recovered, concluded (guide: Evolution Stalled)."""

from typing import TYPE_CHECKING, Any

from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowSkipException

from tdev_operators.operators.approval import PeopleApprovalOperator, requester_of
from tdev_operators.operators.base import MaintenanceOperator, ref_of
from tdev_operators.operators.engine_care import EngineActOperator, EngineConcludeOperator, EngineTask, EngineWork

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from tdev_operators.core.evolution.recovery.decision import RecoveryRequest
    from tdev_operators.core.evolution.recovery.recover import Recovery
    from tdev_operators.core.settings import Settings
    from tdev_operators.core.verdicts import CheckResult

ITEM = "recover_evolution"


def evolution_recovery_form() -> dict[str, Param]:
    """Return the trigger form's fields."""
    return {
        "dry_run": Param(
            True,
            type="boolean",
            title="Dry run",
            description="Find out what is wrong, keep that as evidence, and touch nothing.",
        ),
        "although_stopped": Param(
            False,
            type="boolean",
            title="Although stopped",
            description="Also when somebody stopped the evolution over the API. Ask who it was.",
        ),
        "force": Param(
            False,
            type="boolean",
            title="Force",
            description="Also when it is not stalled: the engine is restarted all the same.",
        ),
    }


class _OfRecovery(EngineTask["Recovery"]):
    item = ITEM

    def request(self, context: "Context") -> "RecoveryRequest":
        """Return what the form asks for."""
        from tdev_operators.core.evolution.recovery.decision import RecoveryRequest  # noqa: PLC0415  not while parsing
        from tdev_operators.core.evolution.recovery.recover import KIND  # noqa: PLC0415
        from tdev_operators.core.recovery.request import recovery_id_of  # noqa: PLC0415

        asked = context["params"]
        return RecoveryRequest(
            recovery_id=recovery_id_of(KIND, context["dag_run"].run_id),
            requested_by=requester_of(context),
            force=asked["force"],
            although_stopped=asked["although_stopped"],
            dry_run=asked["dry_run"],
        )

    def procedure(self, work: EngineWork) -> "Recovery":
        """Return the recovery, as its journal stands."""
        from tdev_operators.core.evolution.recovery.recover import Recovery  # noqa: PLC0415  not while parsing

        settings = work.reporting.settings
        return Recovery(work.ports, settings, work.request, note=work.note, progress=work.progress, check=work.check)


class EvolutionDiagnoseOperator(_OfRecovery, MaintenanceOperator):
    """Looks at everything before anything is touched, keeps it as evidence, and decides whether to act."""

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return whether it will be acted, why, whether somebody has to approve, and where the evidence stands."""
        from tdev_operators.core.evolution.recovery.decision import needs_approval  # noqa: PLC0415  not while parsing
        from tdev_operators.core.evolution.recovery.evidence_lines import evidence_lines  # noqa: PLC0415
        from tdev_operators.core.recovery.approvals import refuse_strangers  # noqa: PLC0415

        dry = self.request(context).dry_run
        with self.opened(context, alone=not dry) as (recovery, ports):
            ports.ledger.open_item(ref_of(context, tier=ITEM, item=ITEM), ports.clock())
            if not dry:
                refuse_strangers(ports.settings.recovery, requester_of(context))
            found, decision = recovery.diagnose()
            for line in evidence_lines(found):
                self.log.info("%s", line)
            self.log.info("%s", decision.why)
            acts = decision.go and not dry
            return {
                "acts": acts,
                "asks": acts and needs_approval(ports.settings, ports.clock()),
                "why": decision.why,
                "evidence": recovery.evidence_place,
            }


class EvolutionApprovalOperator(_OfRecovery, PeopleApprovalOperator):
    """Asks a person of the settings whether the engine may be restarted; nobody where nobody has to be asked."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(subject="Restart the evolution's engine?", **kwargs)

    def question(self, context: "Context") -> str:
        """Return what is wrong and what would be done."""
        found = self.diagnosed(context)
        if not found.get("asks"):
            raise AirflowSkipException("Nobody has to be asked.")
        return (
            f"{requester_of(context)} asks to restart the evolution's engine **now, outside the maintenance window**. "
            "Locks of dead engines are cleared, it is resumed from the newest valid checkpoint, and its next "
            f"generations are waited for.\n\n{found['why']}\n\nEvidence: "
            f"`{found['evidence']}`; the log of `diagnose` shows it."
        )


class EvolutionRecoverOperator(_OfRecovery, EngineActOperator["Recovery"]):
    """Restarts the engine and waits for real generations."""


class EvolutionConcludeOperator(_OfRecovery, EngineConcludeOperator["Recovery"]):
    """Starts an engine that was left stopped, and says whether the evolution is cured."""

    def results(self, procedure: "Recovery", settings: "Settings", left_stopped: str) -> "Sequence[CheckResult]":
        """Return what came of it."""
        from tdev_operators.core.evolution.recovery.told import results_of  # noqa: PLC0415  not while parsing

        return results_of(procedure, settings, left_stopped)
