"""Links from a task to what it made."""

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink
from airflow.sdk.execution_time.xcom import XCom

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class ReportLink(BaseOperatorLink):
    """From a `report` task to the report that it wrote."""

    name = "Maintenance report"

    def get_link(self, operator: "BaseOperator", *, ti_key: "TaskInstanceKey") -> str:  # noqa: ARG002  Airflow's form
        """Return the report's page; empty when the task wrote none."""
        value = XCom.get_value(key="return_value", ti_key=ti_key)
        return f"/tdev/reports/{value['report_id']}" if value else ""


class SetLink(BaseOperatorLink):
    """From a task that took or verified a back-up to the set."""

    name = "Back-up set"

    def get_link(self, operator: "BaseOperator", *, ti_key: "TaskInstanceKey") -> str:  # noqa: ARG002  Airflow's form
        """Return the set's page; of all sets when the task named none."""
        value = XCom.get_value(key="return_value", ti_key=ti_key)
        return f"/tdev/backups/{value['set_id']}" if value and value.get("set_id") else "/tdev/backups"
