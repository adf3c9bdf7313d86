"""What the care of the agents needs from the outside world. `hooks.agent_assembly` builds it."""

from dataclasses import dataclass
from typing import Protocol

from tdev_operators.core.backup.ports import BackupStore, SourceDatabase
from tdev_operators.core.drill.ports import WritableApi
from tdev_operators.core.ports import Clock, ObjectInfo, SystemPorts, utc_now


class SourceBucket(Protocol):
    """Where the agents' sources stand, as they are written. Every method may raise a TdevError."""

    def heeds_conditions(self, bucket: str, prefix: str) -> bool:
        """Whether the store refuses to write over another object than the one that is named; tried below the prefix."""

    def replace(self, bucket: str, key: str, body: bytes, *, etag: str, unconditional: bool = False) -> ObjectInfo:
        """Write over the object with this ETag, with the same headers; verified by reading it back.

        What is returned is the object that we wrote, and never another one. `unconditional` is for who keeps others
        away by other means: the object is looked at directly before, and then written without a condition.

        Raises:
            BusyError: another one stands there by now, or none. ProofFailedError: the store takes no condition.
        """


@dataclass(frozen=True, slots=True)
class AgentPorts:
    """`database` is entered as one who may change the registry (connection `tdev_dba`); `system.database` only reads.

    `store` reads sources, and keeps former ones in the backups bucket; `sources` writes them. `api` pauses the
    evolution.
    """

    system: SystemPorts
    database: SourceDatabase
    store: BackupStore
    sources: SourceBucket
    api: WritableApi
    clock: Clock = utc_now
