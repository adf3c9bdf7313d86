"""Thursday's care in a process of its own that is killed at a line of progress that says so.

`python killed.py WORDS SECONDS`: so long after the line; conninfo and figures come from the environment, as JSON.
"""

import json
import os
import signal
import sys
import threading
from types import SimpleNamespace

from tdev_operators.core.database.care.run import care_for_database
from tdev_operators.core.database.ports import CarePorts
from tdev_operators.core.items import ItemRef
from tdev_operators.core.settings import Settings, load_settings
from tdev_operators.hooks.ledger import PostgresLedger
from tdev_operators.hooks.postgres_sessions import PostgresSource
from tests.records import facts_of


def main(words: str, seconds: float) -> None:
    """Care for the database, and be killed."""

    def progress(line: str) -> None:
        if words in line:
            threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()

    data = {**load_settings().model_dump(), **json.loads(os.environ["FIGURES"])}
    data["care"] = {**load_settings().model_dump()["care"], **data["care"]}
    for name in ("always_analyze",):
        data["care"][name] = tuple(data["care"][name])
    data["care"]["indexes"] = {**load_settings().model_dump()["care"]["indexes"], **data["care"]["indexes"]}
    data["health"]["database"]["minimum_statistics_age_hours"] = 0
    data["recovery"] = {**load_settings().model_dump()["recovery"], "database_host": ""}
    ports = CarePorts(
        system=SimpleNamespace(hosts={}),
        database=PostgresSource(facts_of(json.loads(os.environ["DATABASE"]))),
        server=None,
        store=None,
    )
    ref = ItemRef("weekly", "tdev_weekly", "manual__1", "database_optimization")
    care_for_database(
        ports,
        Settings.model_validate(data),
        PostgresLedger(facts_of(json.loads(os.environ["LEDGER"]))),
        ref,
        check=lambda: None,
        progress=progress,
    )
    threading.Event().wait(seconds + 5)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
