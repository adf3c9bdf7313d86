"""A human says yes first: to disruptive work outside the window, and to what only people of the settings may allow."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator, HITLOperator

from tdev_operators.core.errors import AccessDeniedError

if TYPE_CHECKING:
    from airflow.sdk import Context

APPROVE, REJECT = "Approve", "Reject"


class WindowApprovalOperator(ApprovalOperator):
    """Lets disruptive work begin: at once inside the maintenance window, else when a human approves, scheduled or not.

    Put it before the work. `interrupts` completes the sentence "This interrupts ...". Rejected, or not answered within
    `response_timeout`, the work is skipped. Who answered is kept in the task's XCom.
    """

    def __init__(self, *, interrupts: str, response_timeout: timedelta = timedelta(hours=4), **kwargs: Any) -> None:
        super().__init__(
            subject=f"Interrupt {interrupts} outside the maintenance window?",
            body=f"This interrupts {interrupts}.",
            defaults="Reject",
            response_timeout=response_timeout,
            **{**kwargs, "execution_timeout": None, "retries": 0},  # the wait is bounded by response_timeout
        )
        self.interrupts = interrupts

    def execute(self, context: "Context") -> Any:
        """Return at once inside the window; else ask, and wait without holding a worker."""
        from tdev_operators.core.maintenance_window import is_open, next_opening  # noqa: PLC0415  not while parsing
        from tdev_operators.core.ports import utc_now  # noqa: PLC0415
        from tdev_operators.core.settings import load_settings  # noqa: PLC0415

        window, now = load_settings().system.maintenance_window, utc_now()
        if is_open(window, now):
            self.log.info("The maintenance window is open until %s UTC: nobody is asked.", window.end)
            return {"approved_by": "the maintenance window"}
        self.body = f"{self.body} The maintenance window opens at {next_opening(window, now):%Y-%m-%d %H:%M} UTC."
        return super().execute(context)


class PeopleApprovalOperator(HITLOperator):
    """Asks a person of `[[recovery.people]]`, who is not the one who started the run unless the settings allow that.

    `after` is an earlier approval's task: its person cannot approve again. Rejected, not answered in time, or answered
    by somebody who may not, it fails. Write `question` and `note_refusal`.
    """

    def __init__(self, *, subject: str, after: str = "", **kwargs: Any) -> None:
        super().__init__(
            subject=subject,
            options=[APPROVE, REJECT],
            defaults=REJECT,
            **{
                "trigger_rule": "none_failed",
                **kwargs,
                "execution_timeout": None,
                "retries": 0,
            },  # the wait is bounded by response_timeout
        )
        self.after = after

    def question(self, context: "Context") -> str:
        """Return what is asked, in Markdown; an AirflowSkipException where nobody has to be."""
        raise NotImplementedError

    def note_refusal(self, context: "Context", why: str) -> None:
        """Write down that it was not approved, so that the report can say so."""
        raise NotImplementedError

    def execute(self, context: "Context") -> Any:
        """Ask those who may, and wait without holding a worker."""
        from tdev_operators.core.recovery.approvals import may_approve  # noqa: PLC0415  not while parsing
        from tdev_operators.core.settings import load_settings  # noqa: PLC0415

        self.body, rules = self.question(context), load_settings().recovery
        people = may_approve(rules, requester_of(context), self._already(context))
        self.assigned_users = [{"id": person.auth_id, "name": person.username} for person in people]
        self.response_timeout = timedelta(hours=rules.approval_hours)
        return super().execute(context)

    def execute_complete(self, context: "Context", event: dict[str, Any]) -> dict[str, Any]:
        """Return who approved.

        Raises:
            AccessDeniedError: it was rejected, nobody answered, or somebody answered who may not.
        """
        from tdev_operators.core.recovery.approvals import may_approve  # noqa: PLC0415  not while parsing
        from tdev_operators.core.settings import load_settings  # noqa: PLC0415

        answer = super().execute_complete(context, event)
        who = (answer.get("responded_by_user") or {}).get("name", "")
        may = may_approve(load_settings().recovery, requester_of(context), self._already(context))
        refused = ""
        if APPROVE not in answer["chosen_options"]:
            refused = f"{who} rejected it." if who else "Nobody answered in time."
        elif who not in {one.username for one in may}:
            refused = f"{who or 'Somebody without a name'} may not approve this."
        if refused:
            self.note_refusal(context, refused)
            raise AccessDeniedError(refused)
        return {"approved_by": who, "at": str(answer["responded_at"])}

    def _already(self, context: "Context") -> list[str]:
        earlier = context["ti"].xcom_pull(task_ids=self.after) if self.after else None
        return [earlier["approved_by"]] if earlier else []


def requester_of(context: "Context") -> str:
    """Return who started the run; empty when Airflow does not know."""
    return context["dag_run"].triggering_user_name or ""


def approved_by(context: "Context", approvals: list[str]) -> list[str]:
    """Return who approved in these tasks."""
    answers = [context["ti"].xcom_pull(task_ids=task_id) for task_id in approvals]
    return [answer["approved_by"] for answer in answers if answer]
