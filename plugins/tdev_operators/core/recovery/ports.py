"""What a recovery needs from the world. `hooks.recovery_assembly` gives it; neither Airflow nor the ledger is in it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tdev_operators.core.backup.cipher import Cipher
from tdev_operators.core.backup.ports import BackupStore, SourceDatabase
from tdev_operators.core.ports import Clock, Host, utc_now


@dataclass(frozen=True, slots=True)
class RecoveryPorts:
    """The store of the sets, and the server that is restored into: `server` opens one of its databases by name.

    The role of `server` may create databases and roles; it is needed on the worst day only. `password_of` names a
    connection.
    """

    store: BackupStore
    server: Callable[[str], SourceDatabase]
    cipher: Cipher
    password_of: Callable[[str], str]
    hosts: Mapping[str, Host] = field(default_factory=dict)
    clock: Clock = utc_now

    @property
    def admin(self) -> SourceDatabase:
        """The database from which others are created and renamed."""
        return self.server("postgres")
