"""How the new side's database comes to be the one that serves: a replica is promoted, or a set is restored there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tdev_operators.core.errors import InputError
from tdev_operators.core.failover.ports import FailoverPorts
from tdev_operators.core.failover.request import FailoverRequest
from tdev_operators.core.failover.settings import Side
from tdev_operators.core.failover.sides import Database
from tdev_operators.core.recovery.journal import Journal
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql


@dataclass(frozen=True, slots=True)
class Course:
    """From where to where, with what; the journal is left to who writes it."""

    ports: FailoverPorts
    settings: Settings
    request: FailoverRequest
    old: Side
    new: Side
    progress: Callable[[str], None]
    check: Callable[[], None]
    bystander: str = ""  # the cluster whose lock the caller holds


@dataclass(frozen=True, slots=True)
class Prospect:
    """What was seen of both databases before anything is touched; `told` are sentences, the rest is JSON."""

    told: list[str]
    new: Mapping[str, Any]
    old: Mapping[str, Any] | None
    loss: Mapping[str, Any]
    slots: list[dict[str, Any]] = field(default_factory=list)


def refuse_the_ledgers(course: Course, server: Database) -> None:
    """Refuse a server that the ledger lives on.

    Raises:
        InputError: it does.
    """
    if server.system_identifier == course.bystander:
        raise InputError(
            "The ledger lives on a server that takes part in the failover, so that its lock would fail over too; "
            "give the ledger a server of its own."
        )


def rights_on_new(course: Course, needed: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what our role may do on the new side; `needed` names the rights that would be missed later.

    Raises:
        InputError: one is lacking.
    """
    with course.ports.database(course.new, "postgres").session(application_name="tdev-failover") as session:
        row = session.rows(load_sql("failover/rights"))[0]
    if lacking := [what for key, what in needed.items() if not row[key]]:
        raise InputError(
            f"Our role lacks {', '.join(lacking)} on {course.new.name}; grant it there (docs/privileges.md)."
        )
    return row


class Takeover(Protocol):
    """Every method may be called again. `looked` and `synced` are what the journal noted of those steps."""

    def look(self) -> Prospect:
        """See whether it can be done; nothing is touched.

        Raises:
            InputError: the sides are not what this needs.
            TransientError: the new side cannot be reached.
        """

    def catch_up(self, looked: Mapping[str, Any], journal: Journal) -> dict[str, Any]:
        """Bring to the new side what can be had of the old one, which is off; return what to note of it."""

    def is_promoted(self, synced: Mapping[str, Any]) -> bool:
        """Whether the new side's database is the one that may be written to, by its own word."""

    def promote(self, synced: Mapping[str, Any]) -> None:
        """Make it that."""

    def promoted(self, synced: Mapping[str, Any]) -> dict[str, Any]:
        """Return what to note of the promotion, proven.

        Raises:
            InputError: it is not what it should be.
        """

    def make_slots(self, looked: Mapping[str, Any]) -> list[str]:
        """Make what the old side had beside its data; return a sentence for each that could not be made."""

    def taken_back(self, looked: Mapping[str, Any], recovery_id: str) -> str:
        """Remove what was made for nothing, and say what the new side is."""
