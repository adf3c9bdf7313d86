"""The findings ledger's protocol, and what goes in and out: each finding once, from first seen to fixed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from tdev_operators.core.security.findings import Finding, Severity


class Sort(StrEnum):
    """The sorts of findings that a report tells apart."""

    OPEN = "open"
    NEW = "new"
    BACK = "back"  # it was fixed before
    FIXED = "fixed"
    LATE = "late"  # past its due date, and nobody answers for it
    WAIVED = "waived"
    EXPIRING = "expiring"  # waived for less than two weeks more


@dataclass(frozen=True, slots=True)
class Seen:
    """A finding of today as it goes into the ledger."""

    finding: Finding
    priority: int
    due_days: float
    waiver: str = ""
    waived_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """A scanner that looked at all of a target: what it no longer sees is gone.

    `basis` names revision, program and data: where it is the same again, there is nothing to look for; empty where it
    cannot be known. `result` is what was said, as JSON.
    """

    scanner: str
    target: str
    basis: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)
    complete: bool = True  # False: it looked at a part, so that nothing is gone, and what it said before is void


@dataclass(frozen=True, slots=True)
class Scope:
    """A scanner that looks by the settings of today, and at which target; None: at whatever it names itself."""

    scanner: str
    target: str | None = None


@dataclass(frozen=True, slots=True)
class LastLook:
    """The last look of a scanner at all of a target."""

    looked_at: datetime
    result: Mapping[str, Any]
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Recorded:
    """A finding as the ledger knows it."""

    finding: Finding
    first_seen: datetime
    last_seen: datetime
    opened_at: datetime
    reopened: int
    due_at: datetime
    waiver: str = ""
    waived_until: datetime | None = None
    fixed_at: datetime | None = None


class FindingsLedger(Protocol):
    """Keeps findings."""

    def merge(
        self, system: str, at: datetime, looks: Sequence[Look], seen: Iterable[Seen], scope: Sequence[Scope] = ()
    ) -> None:
        """Take in what was found at a moment: all of it, or nothing. The same moment again changes nothing.

        A finding is fixed when every scanner that saw it has looked again and does not, or is not in the `scope` any
        more, if one is given: a scanner that was switched off and a target that was removed hold nothing open for ever.

        Raises:
            TransientError, SetupMissingError, AccessDeniedError: the ledger's database.
        """

    def waive(self, system: str, answered: Sequence[tuple[str, str, datetime | None]]) -> None:
        """Note who answers for findings: identity, waiver, until when."""

    def last_look(self, system: str, scanner: str, target: str, since: datetime, basis: str) -> LastLook | None:
        """Return a scanner's last look at all of a target, with what it found.

        None when it is older than `since`, or rests on something else.
        """

    def has_looked(self, system: str) -> bool:
        """Whether any scan has ever come here: an empty ledger proves nothing."""

    def counts(self, system: str, at: datetime) -> Mapping[Severity, Mapping[Sort, int]]:
        """Return how many findings of each sort there are, by severity, as of the merge of that moment."""

    def findings(self, system: str, at: datetime, sort: Sort, *, most: int) -> list[Recorded]:
        """Return findings of a sort, the most urgent first."""

    def each(self, system: str, at: datetime, sort: Sort) -> Iterator[Recorded]:
        """Yield all findings of a sort, page by page, the most urgent first."""
