"""Dropping a database that a restore replaced, as operators: looked at, approved, dropped, recorded."""

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param

from tdev_operators.operators.approval import PeopleApprovalOperator, approved_by, requester_of
from tdev_operators.operators.base import MaintenanceOperator, ref_of, task_ports
from tdev_operators.operators.work import close_by_hand, recovering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.sdk import Context

    from tdev_operators.core.recovery.drop_replaced import DropReplaced
    from tdev_operators.hooks.reporting import ReportingPorts

ITEM = "drop_replaced"


def drop_form() -> dict[str, Param]:
    """Return the trigger form's field."""
    return {
        "recovery": Param(
            "",
            type="string",
            minLength=1,
            title="Restore",
            description="The id of the restore that replaced it, as its report and `tdev restore --replaced` say.",
        )
    }


class DropLookOperator(MaintenanceOperator):
    """Refuses what must stay, and whom the settings do not name; says what would be dropped."""

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return what there is to know, for the approval."""
        from tdev_operators.core.recovery.approvals import refuse_strangers  # noqa: PLC0415  not while parsing

        with _opened(context, self.log.info) as (drop, ports):
            ports.ledger.open_item(ref_of(context, tier=ITEM, item=ITEM), ports.clock())
            refuse_strangers(ports.settings.recovery, requester_of(context))
            return {"name": drop.replaced.places.old_name, "told": drop.refuse_too_early()}


class DropApprovalOperator(PeopleApprovalOperator):
    """Asks a person of the settings whether it may be dropped."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(subject="Drop the replaced database?", **kwargs)

    def question(self, context: "Context") -> str:
        """Return what the answer is about."""
        found = context["ti"].xcom_pull(task_ids=f"{ITEM}.look") or {}
        told = "\n".join(f"- {line}" for line in found.get("told", ()))
        return f"{requester_of(context)} asks to drop **{found.get('name')}**. There is no way back.\n\n{told}"

    def note_refusal(self, context: "Context", why: str) -> None:
        """Note it in the ledger."""
        task_ports().ledger.journal(ref_of(context, tier=ITEM, item=ITEM), "refused", {"why": why})


class DropOperator(MaintenanceOperator):
    """Drops it, after comparing once more what stands there and who approved; records the outcome."""

    def __init__(self, *, approvals: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.approvals = approvals

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return what was dropped."""
        from tdev_operators.core.verdicts import CheckResult, Coverage, Verdict  # noqa: PLC0415  not while parsing

        people = approved_by(context, self.approvals)
        with _opened(context, self.log.info) as (drop, ports):
            ref, name = ref_of(context, tier=ITEM, item=ITEM), drop.replaced.places.old_name
            ports.ledger.journal(
                ref, "drop_intended", {"database": name, "by": people, "asked_by": requester_of(context)}
            )
            drop.drop(people, requester_of(context))
            summary = f"{name} is dropped; asked for by {requester_of(context)}, approved by {', '.join(people)}."
            result = CheckResult("restore.replaced", Verdict.OK, summary, coverage=Coverage(seen=(name,)))
            close_by_hand(ports, ref, (result,))
        return {"dropped": name}


@contextmanager
def _opened(context: "Context", progress: "Callable[[str], None]") -> "Iterator[tuple[DropReplaced, ReportingPorts]]":
    from tdev_operators.core.recovery.drop_replaced import DropReplaced  # noqa: PLC0415  not while parsing
    from tdev_operators.hooks.assembly import airflow_connections  # noqa: PLC0415
    from tdev_operators.hooks.recovery_assembly import recovery_ports  # noqa: PLC0415

    recovery_id = context["params"]["recovery"]
    with (
        recovering(f"drop {recovery_id}") as (ports, _),
        recovery_ports(ports.settings, airflow_connections()) as recovery,
    ):
        yield DropReplaced(recovery, ports.settings, recovery_id, progress=progress), ports
