"""The fencing epoch: which failover may act. A newer one that was begun ends every older one's right to.

Each is a numbered object below `<system>/failover/`, written only where there is none, so that of two that begin at
once one does not begin.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.backup.set_ids import root_of
from tdev_operators.core.errors import BusyError, GarbledAnswerError

_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Epoch:
    """One failover's right to act."""

    number: int
    recovery_id: str


class Epochs:
    """All epochs of one system."""

    def __init__(self, store: BackupStore, bucket: str, system: str) -> None:
        self._store, self._bucket = store, bucket
        self._folder = f"{root_of(system)}failover/"

    def newest(self) -> Epoch | None:
        """Return the epoch that counts; None before the first failover."""
        last = None
        for last in self._store.list(self._bucket, self._folder):  # noqa: B007  the newest has the last key
            pass
        if last is None:
            return None
        try:
            body = json.loads(self._store.read_whole(self._bucket, last.key, max_bytes=_MAX_BYTES))
            return Epoch(int(body["number"]), str(body["recovery_id"]))
        except (ValueError, KeyError, TypeError):
            raise GarbledAnswerError(f"{last.key} is no epoch of a failover; look at it by hand.") from None

    def claim(self, recovery_id: str, has_ended: Callable[[str], bool]) -> Epoch:
        """Return this failover's epoch, begun now if it has none.

        `has_ended` says whether another failover is over.

        Raises:
            BusyError: another one is under way, or was begun at the same moment.
        """
        newest = self.newest()
        if newest is not None and newest.recovery_id == recovery_id:
            return newest
        if newest is not None and not has_ended(newest.recovery_id):
            raise BusyError(
                f"The failover {newest.recovery_id} is not over; clear its tasks, or settle it: "
                f"tdev failover --settle {newest.recovery_id}"
            )
        mine = Epoch((newest.number if newest else 0) + 1, recovery_id)
        body = json.dumps({"number": mine.number, "recovery_id": recovery_id}).encode()
        self._store.put(self._bucket, f"{self._folder}{mine.number:06d}.json", body, only_if_absent=True)
        return mine

    def refuse_superseded(self, recovery_id: str) -> None:
        """Refuse to act once another failover has begun.

        Raises:
            BusyError: it has.
        """
        newest = self.newest()
        if newest is None or newest.recovery_id != recovery_id:
            whose = newest.recovery_id if newest else "nobody's"
            raise BusyError(f"The failover {whose} has begun since; this one, {recovery_id}, does nothing more.")
