"""What a recovery needs from the world. `hooks.recovery_assembly` gives it; neither Airflow nor the ledger is in it."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from tdev_operators.core.backup.cipher import Cipher
from tdev_operators.core.backup.ports import BackupStore, Session, SourceDatabase
from tdev_operators.core.ports import Clock, Host, utc_now

_APPLICATION = "tdev-restore"


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

    def session(self, name: str = "postgres") -> AbstractContextManager[Session]:
        """Open a session in a database; without a name in the one from which others are created and renamed."""
        return self.server(name).session(application_name=_APPLICATION)
