"""How much disk is free where the database writes, so that a rebuild does not fill it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.disks import disks_of
from tdev_operators.core.errors import InputError
from tdev_operators.core.ports import Host
from tdev_operators.core.sql import load_sql

_SECONDS = 30.0


@dataclass(slots=True)
class Disk:
    """The fullest of the disks on which data, WAL and tablespaces lie, and what rebuilds under way will still write.

    Without a host's name nobody watches it.
    """

    hosts: Mapping[str, Host]
    host: str
    folders: tuple[str, ...] = ()
    _promised: dict[int, float] = field(default_factory=dict)
    _guard: Lock = field(default_factory=Lock)

    @classmethod
    def of(cls, hosts: Mapping[str, Host], host: str, session: Session) -> "Disk":
        """See where the server writes."""
        rows = session.rows(load_sql("care/places")) if host else []
        return cls(hosts, host, tuple(str(row["folder"]) for row in rows))

    def lacks(self, key: int, needed: float) -> str:
        """Promise so many bytes to a rebuild; return why not, in bytes that are free.

        Raises:
            InputError: one of the folders cannot be seen. GarbledAnswerError, or what `Host.run` raises.
        """
        if not self.host:
            return ""
        free = self._free()
        with self._guard:
            others = sum(size for other, size in self._promised.items() if other != key)
            if free - others < needed:
                return f"{(free - others) / 1024**2:,.1f} MB of disk are free, {needed / 1024**2:,.1f} MB are asked for"
            self._promised[key] = needed
            return ""

    def release(self, key: int) -> None:
        """Take a promise back: the rebuild has written all, or nothing."""
        with self._guard:
            self._promised.pop(key, None)

    def _free(self) -> int:
        if self.host not in self.hosts:
            raise InputError(f"recovery.database_host names {self.host}, which is none of [[hosts]]; mend one of them.")
        try:
            return min(one.free for one in disks_of(self.hosts[self.host], self.folders, timeout_seconds=_SECONDS))
        except InputError as error:  # what cannot be seen may be the fullest of all
            raise InputError(
                f"{error} Let our user there pass through it (setfacl -m u:<user>:x <data directory>), or name no host "
                "in recovery.database_host: then nobody watches the disk."
            ) from None
