"""Looking at every host of the settings at once."""

from collections.abc import Callable
from typing import TypeVar

from tdev_operators.core.errors import AccessDeniedError, InputError, SetupMissingError, TdevError, TransientError
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.registry import REACHABILITY
from tdev_operators.core.health.side_by_side import side_by_side
from tdev_operators.core.ports import Host, SystemPorts
from tdev_operators.core.settings import HostSettings, Settings

T = TypeVar("T")

# Beyond this many SSH sessions at once a worker is busier with handshakes than with answers.
_AT_ONCE = 16


def on_each_host(
    system: SystemPorts, settings: Settings, look: Callable[[Host, HostSettings], T]
) -> dict[str, T | TdevError]:
    """Call `look` for every host of the settings, side by side; returns its answer or its error by host name."""

    def job(entry: HostSettings) -> Callable[[], T]:
        def run() -> T:
            if entry.name not in system.hosts:
                raise InputError(f"There is no way to reach host {entry.name}; check its entry in [[hosts]].")
            return look(system.hosts[entry.name], entry)

        return run

    return side_by_side({entry.name: job(entry) for entry in settings.hosts}, at_most=_AT_ONCE)


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
