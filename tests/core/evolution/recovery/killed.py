"""A recovery in a process of its own that is killed just before a step, when that is noted in the ledger.

`python killed.py RECOVERY_ID EVENT`: settings and connections come from the environment.
"""

import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

from tdev_operators.core.evolution.recovery.decision import RecoveryRequest
from tdev_operators.core.evolution.recovery.recover import Recovery
from tdev_operators.core.settings import load_settings
from tdev_operators.hooks.connections import EnvironmentConnections
from tdev_operators.hooks.evolution_assembly import evolution_ports


def main(recovery_id: str, fatal: str) -> None:
    """Recover, and be killed."""

    def note(event: str, _: Mapping[str, Any]) -> None:
        if event == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    settings = load_settings()
    request = RecoveryRequest(recovery_id, "lead", dry_run=False)
    with evolution_ports(settings, EnvironmentConnections()) as ports:
        recovery = Recovery(ports, settings, request, note=note)
        recovery.diagnose()
        recovery.note_approvals(["deputy"])
        recovery.act()


if __name__ == "__main__":
    main(*sys.argv[1:])
