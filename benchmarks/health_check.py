"""The health check's wall time against its slowest single check, and the way from a trigger to its verdict."""

import time
from collections.abc import Iterator
from statistics import median

from benchmarks.table import Row
from sandbox.airflow import Airflow
from sandbox.system import Sandbox
from tdev_operators.core.health.run import run_health_check
from tdev_operators.core.settings import load_settings
from tdev_operators.hooks.assembly import system_ports
from tdev_operators.hooks.connections import EnvironmentConnections

_RUNS = 5
_DAG = "tdev_daily"


def rows() -> Iterator[Row]:
    """Yield the health check in this process, then through a real Airflow, both on the full sandbox."""
    with Sandbox.start(scale="full") as system:
        settings = load_settings(system.settings_file)
        connections = EnvironmentConnections(system.environment)
        walls, slowest = [], []
        for _ in range(_RUNS + 1):
            start = time.perf_counter()
            outcome = run_health_check(system_ports(settings, connections), settings)
            walls.append(time.perf_counter() - start)
            slowest.append(max(result.duration_seconds for result in outcome.results))
        check = median(walls[1:])
        yield Row("health check, all checks", check, "its slowest single check", median(slowest[1:]), _RUNS)

        airflow = Airflow(system.supervisor, system.control, system.environment).start()
        airflow.wait_for_dag(_DAG)
        seconds = [_trigger_to_verdict(airflow) for _ in range(_RUNS + 1)]
        yield Row("trigger to verdict in Airflow", median(seconds[1:]), "the health check alone", check, _RUNS)


def _trigger_to_verdict(airflow: Airflow) -> float:
    start = time.perf_counter()
    run_id = airflow.trigger(_DAG, {"items": ["health_check"]})
    airflow.wait_for_run(_DAG, run_id)
    return time.perf_counter() - start
