"""What parsing each DAG file costs beyond Airflow's own import."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.table import Row

REPOSITORY = Path(__file__).resolve().parent.parent
_RUNS = 5
# Airflow's part is what the DAG processor has loaded anyway before it opens the first file.
_PROGRAM = """
import time, runpy, sys
start = time.perf_counter()
import airflow.dag_processing.processor, airflow.sdk, airflow.timetables.trigger, airflow.sdk.execution_time.xcom
airflow_done = time.perf_counter()
for file in sys.argv[1:]:
    runpy.run_path(file)
print(airflow_done - start, time.perf_counter() - airflow_done)
"""


def rows() -> Iterator[Row]:
    """Yield one row a DAG file, and one for all files together."""
    files = sorted((REPOSITORY / "dags").glob("*.py"))
    for file in files:
        yield _row(f"parse {file.name}", [file])
    yield _row("parse all DAG files together (limit 0.5 s)", files)


def _row(work: str, files: list[Path]) -> Row:
    samples = [_seconds(files) for _ in range(_RUNS + 1)][1:]
    return Row(
        work,
        median(ours for _, ours in samples),
        "importing Airflow",
        median(airflow for airflow, _ in samples),
        _RUNS,
    )


def _seconds(files: list[Path]) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        ended = subprocess.run(
            [sys.executable, "-c", _PROGRAM, *map(str, files)],
            capture_output=True,
            text=True,
            env=environment,
            check=True,
        )
    airflow, ours = ended.stdout.split()[-2:]
    return float(airflow), float(ours)
