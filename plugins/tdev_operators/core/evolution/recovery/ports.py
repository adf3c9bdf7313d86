"""What a recovery of the evolution needs from the world. `hooks.evolution_assembly` builds it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from tdev_operators.core.backup.ports import BackupStore, SourceDatabase
from tdev_operators.core.ports import Clock, HttpAnswer, SystemPorts, utc_now


class EvolutionApi(Protocol):
    """The API where the evolution may be resumed. No check gets this."""

    @property
    def name(self) -> str:
        """Name for messages."""

    def get(self, path: str) -> HttpAnswer:
        """Ask for a path with the token; raises as `HttpService.get`."""

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> HttpAnswer:
        """Post JSON there, with the token; raises as `HttpService.get`."""


@dataclass(frozen=True, slots=True)
class EvolutionPorts:
    """The maintained system, and what changes it.

    `database` is entered by a role that may end the engine's sessions (connection `tdev_dba`); `system.database` only
    reads. `store` holds the evidence and the journal, in the backups bucket.
    """

    system: SystemPorts
    database: SourceDatabase
    api: EvolutionApi
    store: BackupStore
    clock: Clock = utc_now
