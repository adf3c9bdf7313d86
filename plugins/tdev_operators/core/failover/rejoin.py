"""The old side comes back as a standby of the new one: rewound where that can be, else from a fresh base.

What only the old side had is gone then: it is the loss of an unplanned failover, and this is the last moment to look.
"""

import re
import time
from collections.abc import Callable, Sequence

from tdev_operators.core.errors import BusyError, CommandFailedError, InputError, TargetTimeoutError, TransientError
from tdev_operators.core.failover.epoch import Epochs
from tdev_operators.core.failover.failover import END, NEEDED
from tdev_operators.core.failover.fence import refuse_living
from tdev_operators.core.failover.ports import FailoverPorts
from tdev_operators.core.failover.settings import Side
from tdev_operators.core.failover.sides import look
from tdev_operators.core.failover.units import Units
from tdev_operators.core.recovery.approvals import refuse_unapproved
from tdev_operators.core.recovery.journal import Journal
from tdev_operators.core.settings import Settings

KIND = "rejoin"
REJOIN, FOLLOWS = "rejoin", "follows"

_CHECKSUMS = re.compile(r"^Data page checksum version:\s*([1-9]\d*)$", re.MULTILINE)
_HINTS = re.compile(r"^wal_log_hints setting:\s*on$", re.MULTILINE)
_POLL_SECONDS = 0.3
_FRESH = "made anew from a fresh base"


class Rejoin:
    """One side's way back. Every method may be called again, and by a process that knows nothing of the others."""

    def __init__(
        self,
        ports: FailoverPorts,
        settings: Settings,
        recovery_id: str,
        side: str,
        *,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Name the side that comes back.

        Raises:
            InputError: there is no such side.
        """
        sides = {one.name: one for one in settings.failover.sides}
        if side not in sides:
            raise InputError(f"There is no side {side[:60]!r}; choose from: {', '.join(sides) or 'none'}.")
        self._ports, self._settings, self._progress = ports, settings, progress
        self.side: Side = sides.pop(side)
        self.other: Side = next(iter(sides.values()))
        self._units = Units(ports, settings, self.side)
        bucket, system = settings.buckets.backups, settings.system.name
        self.journal = Journal(ports.store, bucket, system, recovery_id, clock=ports.clock)

    def plan(self) -> tuple[str, tuple[str, ...]]:
        """Return how it comes back, in words and as the command of the settings; nothing is touched.

        Raises:
            InputError: it runs still, the other side is no primary, or the settings know no way.
        """
        refuse_living(self._ports, self.side)
        if self._units.runs(self.side.database_service):
            raise InputError(f"{self.side.database_service} of {self.side.name} runs; stop it first.")
        newest = Epochs(self._ports.store, self.journal.bucket, self._settings.system.name).newest()
        if newest is not None and not self._is_over(newest.recovery_id):
            raise BusyError(f"The failover {newest.recovery_id} is not over; finish it first.")
        if look(self._ports, self.other).in_recovery:
            raise InputError(f"{self.other.name} is a standby, so that {self.side.name} has nobody to follow.")
        control = self._units.run(self._settings.failover.controldata)
        if self.side.rewind and (_CHECKSUMS.search(control) or _HINTS.search(control)):
            return "rewound to where the histories part", self.side.rewind
        if self.side.base:
            return _FRESH, self.side.base
        why = "it has neither data checksums nor wal_log_hints, and" if self.side.rewind else ""
        raise InputError(f"{self.side.name} cannot be rewound: {why} the settings name no other way; write `base`.")

    def carry_out(self, approved_by: Sequence[str], requested_by: str) -> str:
        """Bring it back, start it, and wait until it follows; return how.

        Raises:
            AccessDeniedError: nobody else approved: what only this side had is lost.
            InputError: see `plan`.
            TransientError: its host does not obey, or it does not follow in time; try again.
        """
        refuse_unapproved(self._settings.recovery, requested_by, approved_by, NEEDED)
        if not self._follows():
            how, command = self.plan()
            self.journal.note(REJOIN, "intended", side=self.side.name, how=how, by=sorted(approved_by))
            try:
                self._run(how, command)
            except CommandFailedError as error:  # the log from where the histories part may be gone, for example
                if command == self.side.base or not self.side.base:
                    raise
                self._progress(f"{self.side.name} could not be rewound: {error}")
                how = _FRESH
                self._run(how, self.side.base)
            self.journal.note(REJOIN, "done", side=self.side.name, how=how)
            self._refuse_primary()
            self._units.start(self.side.database_service)
        self._await_following()
        self.journal.note(FOLLOWS, "done", side=self.side.name, of=self.other.name)
        return f"{self.side.name} follows {self.other.name}"

    def _refuse_primary(self) -> None:
        """Refuse to start what would come up as a second primary."""
        signal = f"{self.side.data_directory}/standby.signal"
        if self._units.host.run(["test", "-e", signal]).exit_status != 0:
            raise InputError(
                f"{signal} is not there, so that {self.side.name} would be a primary; write it by hand (-R)."
            )

    def _is_over(self, recovery_id: str) -> bool:
        journal = Journal(self._ports.store, self.journal.bucket, self._settings.system.name, recovery_id)
        return journal.done(END) is not None

    def _run(self, how: str, command: Sequence[str]) -> None:
        self._progress(f"{self.side.name} is being {how}")
        self._units.run(command, seconds=self._settings.failover.rejoin_seconds)

    def _follows(self) -> bool:
        try:
            found = look(self._ports, self.side)
        except TransientError:
            return False
        return found.in_recovery and found.streaming

    def _stop_a_primary(self) -> None:
        try:
            found = look(self._ports, self.side)
        except TransientError:
            return
        if not found.in_recovery:
            self._units.stop_for_good(self.side.database_service)
            raise InputError(f"{self.side.name} came up as a primary and was stopped; see its standby.signal.")

    def _await_following(self) -> None:
        deadline = time.monotonic() + self._settings.failover.catch_up_seconds
        while not self._follows():
            self._stop_a_primary()
            if time.monotonic() > deadline:
                raise TargetTimeoutError(f"{self.side.name} does not follow {self.other.name}; see its own log.")
            time.sleep(_POLL_SECONDS)
