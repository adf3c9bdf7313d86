"""What every operator of this package has in common: retries by our error tree, time limits, and where things are.

This is the one place where our errors become Airflow's: one retry policy over the tree's two bases.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, ExceptionRetryPolicy, RetryAction, RetryPolicy, RetryRule

from tdev_operators.core.errors import PermanentError, TransientError
from tdev_operators.core.items import ItemRef

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tdev_operators.hooks.reporting import ReportingPorts

RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(exception=TransientError, action=RetryAction.RETRY, reason="The world may be different in a minute"),
        RetryRule(exception=PermanentError, action=RetryAction.FAIL, reason="Another try cannot help"),
    ],
    # A defect or a time-out of the whole task does not mend itself; a lost worker is retried by the scheduler anyway.
    default=RetryAction.FAIL,
)


class MaintenanceOperator(BaseOperator):
    """Base of the package's operators: transient faults are retried with back-off, everything else fails at once."""

    def __init__(
        self,
        *,
        retries: int = 3,
        retry_delay: timedelta = timedelta(seconds=20),
        retry_exponential_backoff: float = 2.0,
        max_retry_delay: timedelta = timedelta(minutes=10),
        retry_policy: RetryPolicy = RETRY_POLICY,
        execution_timeout: timedelta = timedelta(minutes=10),
        weight_rule: str = "absolute",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            retries=retries,
            retry_delay=retry_delay,
            retry_exponential_backoff=retry_exponential_backoff,
            max_retry_delay=max_retry_delay,
            retry_policy=retry_policy,
            execution_timeout=execution_timeout,
            weight_rule=weight_rule,
            **kwargs,
        )


def ref_of(context: "Context", *, tier: str, item: str) -> ItemRef:
    """Return which item in which run a task works for."""
    dag_run = context["dag_run"]
    return ItemRef(tier=tier, dag_id=dag_run.dag_id, run_id=dag_run.run_id, item=item)


def task_ports() -> "ReportingPorts":
    """Return the ports for a task: settings in force, Airflow's connections.

    Raises:
        SettingsError: the settings file is wrong.
        SetupMissingError: the connection `tdev_ledger` is missing.
    """
    from tdev_operators.hooks.assembly import airflow_connections  # noqa: PLC0415  not while a DAG file is parsed
    from tdev_operators.hooks.reporting import reporting_ports  # noqa: PLC0415

    return reporting_ports(airflow_connections())
