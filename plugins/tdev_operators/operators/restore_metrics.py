"""Archived rows, given back by hand: looked at, approved, given back, recorded."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param

from tdev_operators.operators.approval import PeopleApprovalOperator, approved_by, requester_of
from tdev_operators.operators.base import MaintenanceOperator, ref_of, task_ports
from tdev_operators.operators.metric_cleanup import instead_of_cleanup
from tdev_operators.operators.work import close_by_hand

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tdev_operators.core.database.ports import CarePorts
    from tdev_operators.core.database.retention.restore import GiveBack
    from tdev_operators.core.verdicts import CheckResult
    from tdev_operators.hooks.reporting import ReportingPorts

ITEM = "restore_metrics"
_BESIDE, _INTO = "beside", "into the table"


def restore_metrics_form() -> dict[str, Param]:
    """Return the trigger form's fields."""
    words: dict[str, Any] = {"type": ["string", "null"]}
    return {
        "archive": Param(
            "",
            type="string",
            minLength=1,
            title="Archive",
            description="The id of the run that archived the rows, as its report says: retention-scheduled-2026-...",
        ),
        "table": Param(None, **words, title="Table", description="public.metrics; empty: the archive's only one."),
        "into": Param(
            _BESIDE,
            type="string",
            enum=[_BESIDE, _INTO],
            title="Where to",
            description="Beside: a new table, <table>_given_back. Into the table: the next cleanup removes them again.",
        ),
        "dry_run": Param(False, type="boolean", title="Dry run", description="Say what would be given back, and stop."),
    }


class GiveBackLookOperator(MaintenanceOperator):
    """Refuses whom the settings do not name, and what is not there; says what would be given back."""

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return what there is to know, for the approval."""
        from tdev_operators.core.recovery.approvals import refuse_strangers  # noqa: PLC0415  not while parsing

        with instead_of_cleanup(context) as (ports, reporting, _):
            reporting.ledger.open_item(ref_of(context, tier=ITEM, item=ITEM), reporting.clock())
            refuse_strangers(reporting.settings.recovery, requester_of(context))
            return {"told": _given(context, ports, reporting, lambda *_: None, lambda: None, dry_run=True).summary}


class GiveBackApprovalOperator(PeopleApprovalOperator):
    """Asks a person of the settings whether they may be given back; nobody for a dry run."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(subject="Give archived rows back?", **kwargs)

    def question(self, context: "Context") -> str:
        """Return what the answer is about."""
        from airflow.sdk.exceptions import AirflowSkipException  # noqa: PLC0415  not while parsing

        if context["params"]["dry_run"]:
            raise AirflowSkipException("It is a dry run: nobody is asked.")
        found = context["ti"].xcom_pull(task_ids=f"{ITEM}.look") or {}
        asked = context["params"]["into"]
        return f"{requester_of(context)} asks to give archived rows back: {asked}.\n\n{found.get('told')}"

    def note_refusal(self, context: "Context", why: str) -> None:
        """Note it in the ledger."""
        task_ports().ledger.journal(ref_of(context, tier=ITEM, item=ITEM), "refused", {"why": why})


class GiveBackOperator(MaintenanceOperator):
    """Gives them back, after comparing once more who approved; records the outcome. Done again, it goes on."""

    def __init__(self, *, approvals: list[str], **kwargs: Any) -> None:
        super().__init__(trigger_rule="none_failed", **kwargs)
        self.approvals = approvals

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the verdict and its sentence."""
        from tdev_operators.core.recovery.approvals import refuse_unapproved  # noqa: PLC0415  not while parsing

        ref, dry_run = ref_of(context, tier=ITEM, item=ITEM), bool(context["params"]["dry_run"])
        with instead_of_cleanup(context) as (ports, reporting, check):
            people = approved_by(context, self.approvals)
            if not dry_run:
                refuse_unapproved(reporting.settings.recovery, requester_of(context), people, 1)

            def journal(event: str, facts: Mapping[str, Any]) -> None:
                reporting.ledger.journal(ref, event, {**facts, "by": people, "asked_by": requester_of(context)})

            result = _given(context, ports, reporting, journal, check, dry_run=dry_run)
            close_by_hand(reporting, ref, (result,))
        return {"verdict": result.verdict.value, "summary": result.summary}


def _given(
    context: "Context",
    ports: "CarePorts",
    reporting: "ReportingPorts",
    journal: "Callable[[str, Mapping[str, Any]], None]",
    check: Callable[[], None],
    *,
    dry_run: bool,
) -> "CheckResult":
    from tdev_operators.core.database.retention.restore import give_back  # noqa: PLC0415  not while parsing

    return give_back(ports, reporting.settings, _request_of(context, dry_run=dry_run), journal=journal, check=check)


def _request_of(context: "Context", *, dry_run: bool) -> "GiveBack":
    from tdev_operators.core.database.retention.restore import GiveBack  # noqa: PLC0415  not while parsing

    asked = context["params"]
    return GiveBack(asked["archive"], asked["table"] or "", into_table=asked["into"] == _INTO, dry_run=dry_run)
