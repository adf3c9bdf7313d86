"""What a control is held against: the ledger's records and the evidence in the store."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.compliance.profile import Control
from tdev_operators.core.ledger import Sample
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class PastResult:
    """A result of the newest finished run of an item, with the report that it stands in."""

    check: str
    item: str
    verdict: Verdict
    summary: str
    ended_at: datetime
    report_id: str = ""


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run of an item of the calendar. `ended_at` is None when it never came to an end."""

    item: str
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class PlannedItem:
    """An item of the calendar, and since when it stands there."""

    tier: str
    item: str
    cron: str
    since: datetime


class Records(Protocol):
    """What the ledger remembers. Every method may raise a TdevError: without a ledger nothing is proven."""

    def results(self, pattern: str) -> Sequence[PastResult]:
        """Return the results of this name, or of this area (`scan.*`), in the newest finished run of each item."""

    def calendar(self) -> Sequence[PlannedItem]:
        """Return the calendar as `tdev init` wrote it."""

    def runs(self, since: datetime) -> Sequence[PastRun]:
        """Return every run of every item that was begun since then."""

    def guards(self) -> Mapping[str, bool]:
        """Return, for each table of the audit trail, whether its guard against change is in force."""

    def samples(self, kind: str, since: datetime) -> Sequence[Sample]:
        """Return what was measured since then, the oldest first."""

    def digests(self, event: str) -> Mapping[int, str]:
        """Return the digests that were journalled as an event, by number."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a rule works with."""

    records: Records
    store: BackupStore
    settings: Settings
    at: datetime


@dataclass(frozen=True, slots=True)
class Proof:
    """Where one can look it up: a sentence, and the report or the object that it rests on."""

    sentence: str
    report_id: str = ""
    place: str = ""

    def to_json(self) -> dict[str, str]:
        """Return plain JSON."""
        return {"sentence": self.sentence, "report_id": self.report_id, "place": self.place}


@dataclass(slots=True)
class Evaluation:
    """How a control was found: what passes, what fails, and what nobody knows. All three are proofs."""

    passed: list[Proof] = field(default_factory=list)
    failed: list[Proof] = field(default_factory=list)
    unknown: list[Proof] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """PASS, FAIL or UNKNOWN. Unknown is not a pass, and neither is nothing."""
        if self.failed:
            return "FAIL"
        return "UNKNOWN" if self.unknown or not self.passed else "PASS"


@dataclass(frozen=True, slots=True)
class Rule:
    """A way to look at a control, made from its module."""

    name: str
    about: str
    evaluate: Callable[[Control, Ground], Evaluation]
