"""What a look of the audit is given, and what it returns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from tdev_operators.core.backup.ports import BackupStore, SourceDatabase
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import Measurement, Verdict

# Against what a look's facts are held: what somebody accepted, what was there a week ago, or nothing.
Against = Literal["accepted", "last week", ""]


@dataclass(frozen=True, slots=True)
class BucketHouse:
    """What a bucket's owner set. None: the store cannot tell; `rights_missing` are the rights to ask that we lack."""

    versioning: bool | None
    encryption: str | None
    transport: bool | None  # whether the policy refuses requests without TLS
    policy: Sequence[str] | None  # a line a statement
    lifecycle: Sequence[str] | None  # a line a rule
    rights_missing: Mapping[str, str] = field(default_factory=dict)


class BucketInspector(Protocol):
    """Asks an object store about its buckets. May raise a TdevError."""

    def house(self, bucket: str) -> BucketHouse:
        """Return what is set for a bucket."""


@dataclass(frozen=True, slots=True)
class AirflowUser:
    """A user of Airflow's own."""

    name: str
    roles: Sequence[str]
    active: bool
    failed_logins: int
    last_login: str = ""


@dataclass(frozen=True, slots=True)
class AirflowConnection:
    """A connection of Airflow's own, as far as it shows: its password never does."""

    name: str
    kind: str
    host: str
    extra: Mapping[str, object]


class AirflowHouse(Protocol):
    """Airflow's own users, roles and connections, by its API. May raise a TdevError."""

    def users(self) -> Sequence[AirflowUser]:
        """Return every user."""

    def rights(self) -> Mapping[str, Sequence[str]]:
        """Return every role's rights, each as `action on resource`."""

    def connections(self) -> Sequence[AirflowConnection]:
        """Return every connection that is kept in Airflow's database."""


@dataclass(frozen=True, slots=True)
class AuditPorts:
    """What an audit works with. `database` is entered by `tdev_dba`."""

    system: SystemPorts
    database: SourceDatabase
    buckets: BucketInspector
    airflow: AirflowHouse
    store: BackupStore


@dataclass(slots=True)
class Looked:
    """What a look found. `facts` are what is there, a line each; `found` is what is wrong, whoever accepted it.

    `well` is what a look that is held against nothing says when nothing is wrong.
    """

    facts: list[str] = field(default_factory=list)
    found: list[tuple[Verdict, str]] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    figures: list[Measurement] = field(default_factory=list)
    canary_found: bool | None = None
    well: str = "Nothing is wrong."

    def warn(self, sentence: str) -> None:
        """Keep what should be mended."""
        self.found.append((Verdict.WARNING, sentence))

    def alarm(self, sentence: str) -> None:
        """Keep what lies open."""
        self.found.append((Verdict.CRITICAL, sentence))


@dataclass(frozen=True, slots=True)
class AuditLook:
    """One look of the audit, made from its module."""

    name: str
    about: str
    against: Against
    hint: str
    look: Callable[[AuditPorts, Settings, datetime], Looked]
