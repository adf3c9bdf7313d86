"""Services on a side's host: stopped for good, started, and looked at; no exit status is believed."""

import time
from collections.abc import Callable, Sequence

from tdev_operators.core.errors import CommandFailedError, InputError
from tdev_operators.core.failover.ports import FailoverPorts
from tdev_operators.core.failover.settings import Side
from tdev_operators.core.ports import Host
from tdev_operators.core.settings import Settings

_POLL_SECONDS = 0.3


class Units:
    """The services of one side's host."""

    def __init__(self, ports: FailoverPorts, settings: Settings, side: Side) -> None:
        """Name the host; it is not reached yet."""
        self._ports, self._recovery, self._failover, self._side = ports, settings.recovery, settings.failover, side

    @property
    def host(self) -> Host:
        """The side's host.

        Raises:
            InputError: the settings have none of that name.
        """
        found = self._ports.hosts.get(self._side.host)
        if found is None:
            raise InputError(f"The side {self._side.name} names the host {self._side.host}, which is not in [[hosts]].")
        return found

    def stop_for_good(self, service: str) -> None:
        """Stop a service, and keep it down when the machine starts again.

        Raises:
            CommandFailedError: it runs still, or would come up by itself.
            TransientError: the host cannot be reached; nobody knows then.
        """
        self._carry_out(self._failover.service_disable, service)
        self.stop(service)
        if self.comes_up(service):
            raise CommandFailedError(
                f"{service} on {self._side.host} would come up by itself; see failover.service_disable."
            )

    def stop(self, service: str) -> None:
        """Stop a service; see `stop_for_good`."""
        if self.runs(service):
            self._carry_out(self._recovery.service_stop, service)
        self._await(service, runs=False)

    def start(self, service: str) -> None:
        """Let a service come up by itself, start it, and wait until it runs.

        Raises:
            CommandFailedError: it does not run.
        """
        self._carry_out(self._failover.service_enable, service)
        if not self.runs(service):
            self._carry_out(self._recovery.service_start, service)
        self._await(service, runs=True)

    def runs(self, service: str) -> bool:
        """Whether a service runs."""
        return self._status(self._recovery.service_alive, service) == 0

    def comes_up(self, service: str) -> bool:
        """Whether a service would come up when the machine starts."""
        return self._status(self._failover.service_enabled, service) == 0

    def run(self, words: Sequence[str], *, seconds: float = 0.0) -> str:
        """Run a command of the settings on the host, `{data}` filled in; return what it printed.

        Raises:
            CommandFailedError: it failed.
        """
        argv = [word.replace("{data}", self._side.data_directory) for word in words]
        ended = self.host.run(argv, timeout_seconds=seconds or self._failover.catch_up_seconds)
        if ended.exit_status != 0:
            raise CommandFailedError(_told(argv, self._side.host, ended.exit_status, ended.stderr or ended.stdout))
        return ended.stdout

    def _carry_out(self, words: Sequence[str], service: str) -> None:
        argv = [word.replace("{service}", service) for word in words]
        ended = self.host.run(argv, timeout_seconds=self._recovery.service_seconds)
        if ended.exit_status != 0:
            raise CommandFailedError(_told(argv, self._side.host, ended.exit_status, ended.stderr or ended.stdout))

    def _status(self, words: Sequence[str], service: str) -> int:
        argv = [word.replace("{service}", service) for word in words]
        return self.host.run(argv, timeout_seconds=self._recovery.service_seconds).exit_status

    def _await(self, service: str, *, runs: bool) -> None:
        deadline = time.monotonic() + self._recovery.service_seconds
        while self.runs(service) is not runs:
            if time.monotonic() > deadline:
                state = "does not run" if runs else "still runs"
                raise CommandFailedError(f"{service} on {self._side.host} {state}; see its own log.")
            time.sleep(_POLL_SECONDS)


def switched_off(ports: FailoverPorts, settings: Settings, side: Side, progress: Callable[[str], None]) -> bool:
    """Turn a side's machine off by the infrastructure and see it off; False where the settings know no way.

    Raises:
        CommandFailedError: it was told to go off and is not seen off.
    """
    rules = settings.failover
    if not rules.switch_off:
        return False
    if not _is_off(ports, settings, side):
        argv = [word.replace("{side}", side.name) for word in rules.switch_off]
        ended = ports.here.run(argv, timeout_seconds=settings.recovery.service_seconds)
        progress(f"the infrastructure was told to turn {side.name} off: exit status {ended.exit_status}")
    deadline = time.monotonic() + settings.recovery.service_seconds
    while not _is_off(ports, settings, side):
        if time.monotonic() > deadline:
            raise CommandFailedError(f"{side.name} is not seen off; turn it off by hand, then try again.")
        time.sleep(_POLL_SECONDS)
    return True


def is_switched_off(ports: FailoverPorts, settings: Settings, side: Side) -> bool:
    """Whether the infrastructure says that a side's machine is off; False where nobody can ask it."""
    return bool(settings.failover.is_switched_off) and _is_off(ports, settings, side)


def _is_off(ports: FailoverPorts, settings: Settings, side: Side) -> bool:
    argv = [word.replace("{side}", side.name) for word in settings.failover.is_switched_off]
    return ports.here.run(argv, timeout_seconds=settings.recovery.service_seconds).exit_status == 0


def _told(argv: Sequence[str], host: str, status: int, said: str) -> str:
    lines = said.strip().splitlines()
    return (
        f"`{' '.join(argv)}` on {host} ended with status {status} ({lines[-1][:200] if lines else 'it said nothing'})."
    )
