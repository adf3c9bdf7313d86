"""What a failover needs from the world. `hooks.failover_assembly` gives it; neither Airflow nor the ledger is in it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from tdev_operators.core.backup.ports import BackupStore, SourceDatabase
from tdev_operators.core.failover.settings import Side
from tdev_operators.core.ports import Clock, Host, HttpService, Resolver, utc_now
from tdev_operators.core.recovery.ports import RecoveryPorts


class NameRecords(Protocol):
    """Who holds the names: Route 53, or a webhook."""

    def address_of(self, name: str) -> str:
        """Return what the provider itself says that a name points to; empty when it knows none."""

    def point(self, name: str, address: str, ttl_seconds: int) -> None:
        """Let a name point to an address. Done twice, it is done once."""


@dataclass(frozen=True, slots=True)
class FailoverPorts:
    """`store` holds the journal: it must outlive both sides' servers.

    `database` opens one of a side's databases by name, `recovery` restores sets into its server, `api` asks its API,
    `here` runs commands on the worker.
    """

    store: BackupStore
    database: Callable[[Side, str], SourceDatabase]
    api: Callable[[Side], HttpService]
    recovery: Callable[[Side], RecoveryPorts]
    hosts: Mapping[str, Host]
    here: Host
    resolver: Resolver
    names: NameRecords | None
    clock: Clock = utc_now
