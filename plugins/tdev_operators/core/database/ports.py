"""What the care of a database needs from the world. `hooks.database_assembly` builds it."""

from collections.abc import Callable
from dataclasses import dataclass

from tdev_operators.core.backup.ports import BackupStore, SourceDatabase
from tdev_operators.core.ports import Clock, SystemPorts, utc_now


@dataclass(frozen=True, slots=True)
class CarePorts:
    """The maintained system, and what changes it.

    `database` is entered as a member of the tables' owner (connection `tdev_dba`), so that it may be vacuumed,
    reindexed and cleaned; `system.database` only reads. `server` opens any database, or standby, by the name of a
    connection. `store` holds archives, in the backups bucket.
    """

    system: SystemPorts
    database: SourceDatabase
    server: Callable[[str], SourceDatabase]
    store: BackupStore
    clock: Clock = utc_now
