"""People who answer what a run asks."""

import time

from tdev_operators.operators.approval import APPROVE

_PATIENCE_SECONDS = 20.0


def wait_until_asked(house, dag_id, run_id, task_id, seconds=300):
    """Wait until a task waits for a human, and until the process that asked is known to have ended.

    Airflow 3.3.2 fails a task that is answered while its process still ends; no human is that fast.
    """
    deadline = time.monotonic() + seconds
    while house.airflow.states(dag_id, run_id).get(task_id) != "awaiting_input":
        assert time.monotonic() < deadline, house.airflow.states(dag_id, run_id)
        time.sleep(0.5)
    scheduler, deadline = house.system.home / "logs" / "airflow-scheduler.log", time.monotonic() + _PATIENCE_SECONDS
    ended = f"TaskInstance Finished: dag_id={dag_id}, task_id={task_id}, run_id={run_id}"
    while time.monotonic() < deadline and ended not in scheduler.read_text(encoding="utf-8", errors="replace"):
        time.sleep(0.5)


def answer(house, dag_id, run_id, task_id, option=APPROVE, user="admin"):
    """Answer as one of the users; return the HTTP status."""
    path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"
    return house.airflow.api(
        "PATCH", path, user=user, json={"chosen_options": [option], "params_input": {}}
    ).status_code
