"""A run in a process of its own that is killed around ALTER SYSTEM.

`python killed.py TUNING_ID before|after`: settings and connections come from the environment.
"""

import os
import signal
import sys

from tdev_operators.core.database.tuning.apply import Tuning
from tdev_operators.core.database.tuning.plan import TuningRequest
from tdev_operators.core.settings import load_settings
from tdev_operators.hooks.connections import EnvironmentConnections
from tdev_operators.hooks.tuning_assembly import tuning_ports


def main(tuning_id: str, moment: str) -> None:
    """Apply, and be killed when it is noted (before) or told (after) that a setting was written."""

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def live(*_: object) -> None:
        return None

    settings = load_settings()
    request = TuningRequest(tuning_id, "lead", dry_run=False)
    note, progress = (die, live) if moment == "before" else (live, die)
    with tuning_ports(settings, EnvironmentConnections()) as ports:
        Tuning(ports, settings, request, note=note, progress=progress).apply()


if __name__ == "__main__":
    main(*sys.argv[1:])
