import pytest
from airflow.sdk import RetryAction
from airflow.sdk.exceptions import AirflowTaskTimeout

from tdev_operators.core import errors
from tdev_operators.operators.base import RETRY_POLICY, MaintenanceOperator


def every_error(base=errors.TdevError):
    for kind in base.__subclasses__():
        yield kind
        yield from every_error(kind)


@pytest.mark.parametrize("kind", [*every_error()], ids=lambda kind: kind.__name__)
def test_what_may_be_different_in_a_minute_is_retried_and_nothing_else(kind):
    decision = RETRY_POLICY.evaluate(kind("One sentence."), 1, 3)
    assert decision.action is (RetryAction.RETRY if kind.retryable else RetryAction.FAIL)


@pytest.mark.parametrize("error", [AirflowTaskTimeout("hung"), ZeroDivisionError(), KeyError("defect")])
def test_a_defect_or_a_hung_task_fails_at_once(error):
    assert RETRY_POLICY.evaluate(error, 1, 3).action is RetryAction.FAIL


def test_errors_travel_between_processes():
    import pickle

    for kind in every_error():
        assert str(pickle.loads(pickle.dumps(kind("One sentence.")))) == "One sentence."


def test_a_group_sets_what_its_tasks_do_not_say_themselves():
    from datetime import timedelta

    class Work(MaintenanceOperator):
        def execute(self, context):
            return None

    assert Work(task_id="a").retries == 3
    assert Work(task_id="b", default_args={"execution_timeout": timedelta(hours=2)}).execution_timeout == timedelta(
        hours=2
    )
