"""A restart in a process of its own that is killed just before a step, when that is noted in the ledger.

`python killed_restart.py TUNING_ID EVENT`: settings and connections come from the environment.
"""

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tdev_operators.core.database.tuning.apply import Tuning
from tdev_operators.core.database.tuning.plan import TuningRequest
from tdev_operators.core.settings import load_settings
from tdev_operators.hooks.connections import EnvironmentConnections
from tdev_operators.hooks.tuning_assembly import tuning_ports

SUNDAY = datetime(2026, 11, 29, 3, 0, tzinfo=UTC)


def main(tuning_id: str, fatal: str) -> None:
    """Restart, and be killed."""

    def note(event: str, _: Mapping[str, Any]) -> None:
        if event == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    settings = load_settings()
    request = TuningRequest(tuning_id, "lead", restart=True, dry_run=False)
    with tuning_ports(settings, EnvironmentConnections()) as ports:
        Tuning(replace(ports, clock=lambda: SUNDAY), settings, request, note=note).restart()


if __name__ == "__main__":
    main(*sys.argv[1:])
