"""A stalled evolution as tasks: diagnosed, approved, recovered, concluded (guide: Evolution Stalled)."""

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

    from tdev_operators.core.evolution.recovery.decision import RecoveryRequest
    from tdev_operators.core.evolution.recovery.recover import Recovery
    from tdev_operators.hooks.reporting import ReportingPorts

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


class EvolutionDiagnoseOperator(MaintenanceOperator):
    """Looks at everything before anything is touched, keeps it as evidence, and decides whether to act."""

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return whether it will be acted, why, whether somebody has to approve, and where the evidence stands."""
        from tdev_operators.core.evolution.recovery.decision import needs_approval  # noqa: PLC0415  not while parsing
        from tdev_operators.core.evolution.recovery.evidence_lines import evidence_lines  # noqa: PLC0415
        from tdev_operators.core.recovery.approvals import refuse_strangers  # noqa: PLC0415

        dry = request_of(context).dry_run
        with _opened(context, self.log.info, alone=not dry) as (recovery, ports):
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


class EvolutionApprovalOperator(PeopleApprovalOperator):
    """Asks a person of the settings whether the engine may be restarted; nobody where nobody has to be asked."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(subject="Restart the evolution's engine?", **kwargs)

    def question(self, context: "Context") -> str:
        """Return what is wrong and what would be done."""
        found = context["ti"].xcom_pull(task_ids=f"{ITEM}.diagnose") or {}
        if not found.get("asks"):
            raise AirflowSkipException("Nobody has to be asked.")
        return (
            f"{requester_of(context)} asks to restart the evolution's engine **now, outside the maintenance window**. "
            "Locks of dead engines are cleared, it is resumed from the newest valid checkpoint, and its next "
            f"generations are waited for.\n\n{found['why']}\n\nEvidence: "
            f"`{found['evidence']}`; the log of `diagnose` shows it."
        )

    def note_refusal(self, context: "Context", why: str) -> None:
        """Note it in the journal and in the ledger."""
        with _opened(context, self.log.info) as (recovery, ports):
            recovery.note_refusal(why)
            ports.ledger.journal(ref_of(context, tier=ITEM, item=ITEM), "refused", {"why": why})


class EvolutionRecoverOperator(MaintenanceOperator):
    """Restarts the engine and waits for real generations. Done again, it goes on where it was.

    The recovery lease is held while it acts, and not while it waits: a restore is more urgent than that.
    """

    def __init__(self, *, approvals: list[str], **kwargs: Any) -> None:
        super().__init__(trigger_rule="none_failed", **kwargs)
        self.approvals = approvals

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return where the journal stands."""
        found = context["ti"].xcom_pull(task_ids=f"{ITEM}.diagnose") or {}
        if not found.get("acts"):
            raise AirflowSkipException("Nothing is to be done.")
        with _opened(context, self.log.info, alone=True, or_else_nothing=True) as (recovery, _):
            if people := approved_by(context, self.approvals):
                recovery.note_approvals(people)
            with recovering(recovery.request.recovery_id, or_else_nothing=True):
                acted = recovery.act()
            if acted:
                recovery.wait()
            return {"journal": recovery.journal.place}


class EvolutionConcludeOperator(MaintenanceOperator):
    """Starts an engine that was left stopped, says whether the evolution is cured, and records the outcome."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trigger_rule="all_done", **{"retries": TRIES_WHILE_BUSY, **kwargs})

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the verdict and its sentence."""
        from tdev_operators.core.evolution.recovery.told import results_of  # noqa: PLC0415  not while parsing

        with _opened(context, self.log.info) as (recovery, _):
            half_done = recovery.is_half_done
        why = settled(context, self, lambda: self._settle(context)) if half_done else ""
        with _opened(context, self.log.info) as (recovery, ports):
            results = results_of(recovery, ports.settings, why)
            outcome = close_by_hand(ports, ref_of(context, tier=ITEM, item=ITEM), results)
        return {"verdict": outcome.verdict.value, "summary": outcome.results[0].summary}

    def _settle(self, context: "Context") -> str:
        """Start it while nobody else is at work: what a restore has stopped must not be started under it."""
        with (
            _opened(context, self.log.info, alone=True) as (recovery, _),
            recovering(recovery.request.recovery_id),
        ):
            return recovery.settle()


@contextmanager
def _opened(
    context: "Context", progress: "Callable[[str], None]", *, alone: bool = False, or_else_nothing: bool = False
) -> "Iterator[tuple[Recovery, ReportingPorts]]":
    from tdev_operators.core.evolution.recovery.recover import Recovery  # noqa: PLC0415  not while parsing

    with at_the_engine(context, ITEM, alone=alone, or_else_nothing=or_else_nothing) as work:
        settings = work.reporting.settings
        recovery = Recovery(
            work.ports, settings, request_of(context), note=work.note, progress=progress, check=work.check
        )
        yield recovery, work.reporting


def request_of(context: "Context") -> "RecoveryRequest":
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
