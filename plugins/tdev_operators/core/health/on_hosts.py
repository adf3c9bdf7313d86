"""Looking at every host of the settings at once."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tdev_operators.core.errors import (
    AccessDeniedError,
    InputError,
    SetupMissingError,
    TargetTimeoutError,
    TdevError,
    TransientError,
)
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.registry import REACHABILITY
from tdev_operators.core.health.side_by_side import side_by_side
from tdev_operators.core.ports import CommandOutput, Host, SystemPorts
from tdev_operators.core.settings import HostSettings, Settings

T = TypeVar("T")

# Beyond this many SSH sessions at once a worker is busier with handshakes than with answers.
_AT_ONCE = 16


def on_each_host(
    system: SystemPorts, settings: Settings, look: Callable[[Host, HostSettings], T]
) -> dict[str, T | TdevError]:
    """Call `look` for every host of the settings, side by side; returns its answer or its error by host name.

    All commands of a look share half of `check_timeout_seconds`, so that a host's own sentence comes before the check
    is given up.
    """
    deadline = time.monotonic() + settings.health.check_timeout_seconds / 2

    def job(entry: HostSettings) -> Callable[[], T]:
        def run() -> T:
            if entry.name not in system.hosts:
                raise InputError(f"There is no way to reach host {entry.name}; check its entry in [[hosts]].")
            return look(_InTime(system.hosts[entry.name], deadline), entry)

        return run

    return side_by_side({entry.name: job(entry) for entry in settings.hosts}, at_most=_AT_ONCE)


@dataclass(frozen=True, slots=True)
class _InTime:
    """A host whose commands end by a deadline."""

    host: Host
    deadline: float

    @property
    def name(self) -> str:
        return self.host.name

    def run(self, argv: Sequence[str], *, timeout_seconds: float = 30.0, stdin: str = "") -> CommandOutput:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TargetTimeoutError(f"Host {self.name} was so slow that no time was left for {argv[0]}; see its load.")
        return self.host.run(argv, timeout_seconds=min(timeout_seconds, left), stdin=stdin)


def answers_of(answers: dict[str, T | TdevError], findings: Findings) -> tuple[dict[str, T], str]:
    """Keep the answers and note the hosts that gave none as skipped.

    Returns the answers, and the check to blame (`because_of`) when every silence is one of reaching the host.
    """
    good: dict[str, T] = {}
    blame = True
    for name, answer in answers.items():
        if isinstance(answer, TdevError):
            findings.skip(name, str(answer))
            blame = blame and isinstance(answer, TransientError | AccessDeniedError | SetupMissingError)
        else:
            good[name] = answer
    return good, REACHABILITY["hosts"] if blame and len(good) < len(answers) else ""


def output_of(host: Host, *argv: str, timeout_seconds: float = 10.0) -> str:
    """Run a command whose failure means that nothing was measured, and return what it printed.

    Raises:
        InputError: it ended badly; and what `Host.run` raises.
    """
    ended = host.run(argv, timeout_seconds=timeout_seconds)
    if ended.exit_status != 0:
        complaint = ended.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise InputError(f"`{' '.join(argv)}` ended with status {ended.exit_status}: {complaint[0][:200]}.")
    return ended.stdout
