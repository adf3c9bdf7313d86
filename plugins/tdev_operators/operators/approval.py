"""Disruptive work (a restart, a swap, a failover, an upgrade): a human says yes first, outside the window."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


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
