"""A real Airflow on a small sandbox for the tests of this folder, which run one after the other in one worker.

What starts an Airflow of its own runs in another worker, so that there are never more than two.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.airflow import Airflow
from sandbox.processes import REPOSITORY
from sandbox.settings_file import change_settings
from sandbox.system import Sandbox

_HERE = Path(__file__).resolve().parent


@pytest.hookimpl(tryfirst=True)  # before the plugin that reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together what shares an Airflow, and apart what has its own."""
    for item in items:
        if _HERE in item.path.parents:
            alone = "house" not in getattr(item, "fixturenames", ())
            item.add_marker(pytest.mark.xdist_group("airflow-alone" if alone else "airflow"))


@dataclass(frozen=True)
class House:
    """The sandbox and the Airflow that maintains it."""

    system: Sandbox
    airflow: Airflow


@pytest.fixture(scope="session")
def house() -> Iterator[House]:
    """Start everything once; every test leaves the sandbox mended and all trial slots paused."""
    with Sandbox.start(scale="small", second_side=True) as system:
        change_settings(system.settings_file, {"health": {"check_timeout_seconds": 60}})  # others work beside it
        dags = system.supervisor.home / "dags"
        dags.mkdir()
        for file in [*(REPOSITORY / "dags").glob("*.py"), *(_HERE / "dags").glob("*.py")]:
            (dags / file.name).symlink_to(file)
        airflow = Airflow(system.supervisor, system.control, system.environment, dags=dags).start()
        for file in dags.glob("*.py"):  # the tests are shuffled: whichever comes first finds all of them
            airflow.wait_for_dag(file.stem)
        yield House(system, airflow)
