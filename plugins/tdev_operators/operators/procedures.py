"""Work that people start by hand, as a task group: `... >> settle >> report >> judge`.

    with Procedure("restore", minutes=240, owner="DevOps"):
        ...

The last task inside settles what the others left and records the outcome, however they ended; `report` and `judge` are
those of an item of the calendar.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk import TaskGroup

from tdev_operators.operators.items import JudgeOperator, ReportOperator

if TYPE_CHECKING:
    from types import TracebackType


class Procedure(TaskGroup):
    """The task group of one procedure, which is its own tier. Tasks inside get the owner and twice the planned time."""

    def __init__(self, name: str, *, minutes: int, owner: str, **kwargs: Any) -> None:
        """Open the group."""
        for_the_work: dict[str, Any] = {"owner": owner, "execution_timeout": timedelta(minutes=2 * minutes)}
        tooltip = f"by hand, {minutes} min, {owner}"
        super().__init__(group_id=name, tooltip=tooltip, default_args=for_the_work, **kwargs)  # type: ignore[arg-type]
        self.name = name

    def __enter__(self) -> Self:
        """Open the group: what is made until it is closed is the procedure's work."""
        super().__enter__()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: "TracebackType | None"
    ) -> None:
        """Put report and judge behind the work, unless building it failed."""
        if exc_type is None:
            last = [task for task in self.children.values() if not task.downstream_task_ids]
            report = ReportOperator(task_id="report", tier=self.name, item=self.name)
            judge = JudgeOperator(task_id="judge", tier=self.name, item=self.name)
            last >> report >> judge
        super().__exit__(exc_type, exc, tb)  # type: ignore[no-untyped-call]
