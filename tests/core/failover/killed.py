"""A failover in a process of its own that is killed at the n-th line of its journal, before or after it is written.

`python killed.py NAME NUMBER before|after`: settings and connections come from the environment.
"""

import os
import signal
import sys

from tdev_operators.core.failover.failover import Failover
from tdev_operators.core.failover.request import FailoverRequest
from tdev_operators.core.recovery.journal import Journal
from tdev_operators.core.settings import load_settings
from tdev_operators.hooks.connections import EnvironmentConnections
from tdev_operators.hooks.failover_assembly import failover_ports


def main(recovery_id: str, number: int, when: str) -> None:
    """Fail over to the second side, and be killed."""
    true, lines = Journal.note, 0

    def note(journal, step, event, **facts):
        nonlocal lines
        lines += 1
        if lines == number and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        true(journal, step, event, **facts)
        if lines == number:
            os.kill(os.getpid(), signal.SIGKILL)

    Journal.note = note
    settings = load_settings()
    with failover_ports(settings, EnvironmentConnections()) as ports:
        work = Failover(ports, settings, FailoverRequest(recovery_id, "second", "lead"))
        work.look()
        work.note_approvals(["deputy"])
        for step in (work.fence, work.sync, work.promote, work.switch_names, work.start, work.verify):
            step()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
