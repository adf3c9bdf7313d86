"""A table turned into one of partitions by hand, that taken back, or its way back ended: looked at, approved, done."""

from typing import TYPE_CHECKING, Any

from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowSkipException

from tdev_operators.operators.approval import PeopleApprovalOperator, approved_by, requester_of
from tdev_operators.operators.base import MaintenanceOperator, ref_of, task_ports
from tdev_operators.operators.metric_cleanup import instead_of_cleanup
from tdev_operators.operators.work import close_by_hand

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

    from tdev_operators.core.database.conversion.request import ConversionRequest

ITEM = "partition_metrics"
_CONVERT, _UNDO, _DROP = "convert", "undo", "drop the former table"


def partition_metrics_form() -> dict[str, Param]:
    """Return the trigger form's fields."""
    return {
        "dry_run": Param(
            True,
            type="boolean",
            title="Dry run",
            description="Print the exact statements, the sizes and what would refuse them, and change nothing.",
        ),
        "action": Param(
            _CONVERT,
            type="string",
            enum=[_CONVERT, _UNDO, _DROP],
            title="What",
            description="Convert. Undo: the former table takes its place again, with all that was written since; what "
            "was only begun is cleared away. Drop the former table: from then on there is no way back.",
        ),
        "table": Param(
            None,
            type=["string", "null"],
            title="Table",
            description="public.metrics; empty: the only one with [retention.rules.partitions].",
        ),
        "now": Param(
            False,
            type="boolean",
            title="Now",
            description="Outside the maintenance window, too. Whoever approves is told.",
        ),
    }


class PartitionLookOperator(MaintenanceOperator):
    """Prints what would be done; refuses what cannot be, and whom the settings do not name."""

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return what there is to know, line by line, for the approval."""
        from tdev_operators.core.database.conversion.run import look  # noqa: PLC0415  not while parsing
        from tdev_operators.core.recovery.approvals import refuse_strangers  # noqa: PLC0415

        with instead_of_cleanup(context) as (ports, reporting, _):
            reporting.ledger.open_item(ref_of(context, tier=ITEM, item=ITEM), reporting.clock())
            refuse_strangers(reporting.settings.recovery, requester_of(context))
            found = look(ports, reporting.settings, request_of(context))
        for line in found.lines:
            self.log.info("%s", line)
        for error in found.refused:
            self.log.warning("Refused: %s", error)
        if found.refused and not context["params"]["dry_run"]:
            raise found.refused[0]
        return {"told": [line for line in found.lines if line.startswith("--")], "statements": len(found.lines)}


class PartitionApprovalOperator(PeopleApprovalOperator):
    """Asks a person of the settings whether it may be done; nobody for a dry run."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(subject="Exchange a table under everybody's hands?", **kwargs)

    def question(self, context: "Context") -> str:
        """Return what the answer is about, and when."""
        if context["params"]["dry_run"]:
            raise AirflowSkipException("It is a dry run: nobody is asked.")
        found = context["ti"].xcom_pull(task_ids=f"{ITEM}.look") or {}
        asked = context["params"]
        when = "**now, outside the maintenance window**" if asked["now"] else "in the maintenance window"
        told = "\n".join(f"    {line}" for line in found.get("told", ()))
        return (
            f"{requester_of(context)} asks to do this {when}: **{asked['action']}**. The log of `look` has every "
            f"statement ({found.get('statements')} lines).\n\n{told}"
        )

    def note_refusal(self, context: "Context", why: str) -> None:
        """Note it in the ledger."""
        task_ports().ledger.journal(ref_of(context, tier=ITEM, item=ITEM), "refused", {"why": why})


class PartitionOperator(MaintenanceOperator):
    """Does it, after comparing once more who approved; records the outcome. Done again, it goes on."""

    def __init__(self, *, approvals: list[str], **kwargs: Any) -> None:
        super().__init__(trigger_rule="none_failed", **kwargs)
        self.approvals = approvals

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the verdict and its sentence."""
        from tdev_operators.core.database.conversion.run import carry_out  # noqa: PLC0415  not while parsing
        from tdev_operators.core.recovery.approvals import refuse_unapproved  # noqa: PLC0415

        ref, request = ref_of(context, tier=ITEM, item=ITEM), request_of(context)
        with instead_of_cleanup(context) as (ports, reporting, check):
            people = approved_by(context, self.approvals)
            if not request.dry_run:
                refuse_unapproved(reporting.settings.recovery, requester_of(context), people, 1)

            def journal(event: str, facts: "Mapping[str, Any]") -> None:
                reporting.ledger.journal(ref, event, {**facts, "by": people, "asked_by": requester_of(context)})

            result = carry_out(ports, reporting.settings, request, journal=journal, progress=self.log.info, check=check)
            close_by_hand(reporting, ref, (result,))
        return {"verdict": result.verdict.value, "summary": result.summary}


def request_of(context: "Context") -> "ConversionRequest":
    """Return what the form asks for."""
    from tdev_operators.core.database.conversion.request import ConversionRequest  # noqa: PLC0415  not while parsing
    from tdev_operators.core.recovery.request import recovery_id_of  # noqa: PLC0415

    asked = context["params"]
    return ConversionRequest(
        run_id=recovery_id_of("partition", context["dag_run"].run_id),
        table=asked["table"] or "",
        action={_CONVERT: "convert", _UNDO: "undo", _DROP: "drop"}[asked["action"]],  # type: ignore[arg-type]
        now=asked["now"],
        dry_run=asked["dry_run"],
    )
