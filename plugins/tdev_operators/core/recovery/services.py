"""The system's services, stopped and started on their hosts in the order of the settings, and looked at afterwards."""

import time
from collections.abc import Callable, Iterator, Sequence

from tdev_operators.core.errors import CommandFailedError, InputError
from tdev_operators.core.ports import Host
from tdev_operators.core.recovery.ports import RecoveryPorts
from tdev_operators.core.settings import Settings

_POLL_SECONDS = 0.5


def stop_services(ports: RecoveryPorts, settings: Settings, progress: Callable[[str], None]) -> list[str]:
    """Stop every service that the hosts list (guide: evolution, then API); return their names.

    Raises:
        CommandFailedError: one still runs after it was stopped.
        TransientError, PermanentError: its host cannot be reached.
    """
    stopped = []
    for host, service in _services(ports, settings):
        stop_service(host, settings, service)
        progress(f"{service} on {host.name} is stopped")
        stopped.append(f"{service} on {host.name}")
    return stopped


def start_services(ports: RecoveryPorts, settings: Settings, progress: Callable[[str], None]) -> list[str]:
    """Start every service, in the same order, and wait until each runs; return their names.

    Raises:
        CommandFailedError: one does not run after it was started.
        TransientError, PermanentError: its host cannot be reached.
    """
    started = []
    for host, service in _services(ports, settings):
        start_service(host, settings, service)
        progress(f"{service} on {host.name} runs")
        started.append(f"{service} on {host.name}")
    return started


def stop_service(host: Host, settings: Settings, service: str, *, seconds: float = 0.0) -> None:
    """Stop one service and look until it does not run; `seconds` instead of `recovery.service_seconds`.

    Raises:
        CommandFailedError: it still runs. TransientError, PermanentError: its host cannot be reached.
    """
    _carry_out(host, settings.recovery.service_stop, service, seconds or settings.recovery.service_seconds)
    _await(host, settings, service, alive=False)


def start_service(host: Host, settings: Settings, service: str) -> None:
    """Start one service unless it runs, and look until it does; raises as `stop_service`."""
    if not is_alive(host, settings, service):
        _carry_out(host, settings.recovery.service_start, service, settings.recovery.service_seconds)
    _await(host, settings, service, alive=True)


def is_alive(host: Host, settings: Settings, service: str) -> bool:
    """Whether a service runs, by its host's word."""
    argv = [word.replace("{service}", service) for word in settings.recovery.service_alive]
    return host.run(argv, timeout_seconds=settings.recovery.service_seconds).exit_status == 0


def _services(ports: RecoveryPorts, settings: Settings) -> Iterator[tuple[Host, str]]:
    for entry in settings.hosts:
        for service in entry.services:
            if entry.name not in ports.hosts:
                raise InputError(f"The host {entry.name} cannot be reached from here; mend its connection.")
            yield ports.hosts[entry.name], service


def _carry_out(host: Host, words: Sequence[str], service: str, seconds: float) -> None:
    argv = [word.replace("{service}", service) for word in words]
    ended = host.run(argv, timeout_seconds=seconds)
    if ended.exit_status != 0:
        said = (ended.stderr or ended.stdout).strip().splitlines()
        raise CommandFailedError(
            f"`{' '.join(argv)}` on {host.name} ended with status {ended.exit_status} "
            f"({said[-1] if said else 'it said nothing'}); see what keeps it."
        )


def _await(host: Host, settings: Settings, service: str, *, alive: bool) -> None:
    """Believe no exit status: look until the service is what it was told to be."""
    deadline = time.monotonic() + settings.recovery.service_seconds
    while is_alive(host, settings, service) is not alive:
        if time.monotonic() > deadline:
            state = "still runs" if not alive else "does not run"
            raise CommandFailedError(f"{service} on {host.name} {state}; see its own log.")
        time.sleep(_POLL_SECONDS)
