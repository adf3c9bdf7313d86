"""The ledger: what ran, what it found, who was told. Its protocol, and the records that pass through it.

`hooks.ledger` keeps it in PostgreSQL; `hooks.spool` keeps what happens while that is down.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from tdev_operators.core.errors import TargetUnreachableError
from tdev_operators.core.items import ItemOutcome, ItemRef
from tdev_operators.core.reporting.alerts import AlertPlan, Episode
from tdev_operators.core.reporting.escaping import storable
from tdev_operators.core.reporting.messages import AlertMessage
from tdev_operators.core.reporting.report import Report
from tdev_operators.core.reporting.settings import Silence
from tdev_operators.core.verdicts import CheckResult, OutOfScope, Verdict

if TYPE_CHECKING:
    from tdev_operators.core.backup.set_index import SetLine

# How long a dead worker keeps others waiting; the living renew theirs three times as often.
LEASE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class ItemRecord:
    """The latest attempt at an item in a run. Without an end (`ended_at` is None) it runs, or its worker died.

    `first_ended_at` is when the first of the run's attempts ended. `remark` says what the reader should know about
    the record itself: that it waited in the spool while the ledger was down.
    """

    ref: ItemRef
    attempt: int
    started_at: datetime
    ended_at: datetime | None = None
    verdict: Verdict | None = None
    results: tuple[CheckResult, ...] = ()
    out_of_scope: tuple[OutOfScope, ...] = ()
    report_id: str = ""
    first_ended_at: datetime | None = None
    remark: str = ""

    @property
    def outcome(self) -> ItemOutcome | None:
        """How the attempt ended; None while it has no end."""
        if self.ended_at is None:
            return None
        return ItemOutcome(self.results, self.started_at, self.ended_at, self.out_of_scope)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a decision on alerts leaves behind: episodes to keep, and a message to send, if any."""

    episodes: tuple[Episode, ...] = ()
    message: AlertMessage | None = None

    @classmethod
    def of(cls, plan: AlertPlan, message: AlertMessage | None) -> "Decision":
        """Keep a plan's episodes; send the message when it has news."""
        return cls(plan.episodes, message if message and message.notices else None)


@dataclass(frozen=True, slots=True)
class Sample:
    """What was measured at a moment, to be compared with later. `facts` are plain JSON types."""

    taken_at: datetime
    facts: Mapping[str, Any]


def to_compare_with(samples: "Sequence[Sample] | None") -> "Sequence[Sample]":
    """Return samples of the ledger, if it could be asked.

    Raises:
        TargetUnreachableError: it could not: its database is down.
    """
    if samples is None:
        raise TargetUnreachableError("The ledger's database is down, so that nothing can be compared with before.")
    return samples


@dataclass(frozen=True, slots=True)
class DroppedSamples:
    """How many samples went, or would go, and their size."""

    samples: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that is ours to hand to one channel."""

    channel: str
    message: AlertMessage


@dataclass(frozen=True, slots=True)
class Replayed:
    """An outcome that waited in the spool and is in the ledger now, with its report where one was written.

    `told` are the checks that people know are red; `reason` is why it had to wait.
    """

    ref: ItemRef
    outcome: ItemOutcome
    reported: bool = True
    told: tuple[str, ...] = ()
    reason: str = ""


class Lease(Protocol):
    """A lease that is held, renewed in the background."""

    @property
    def lost(self) -> bool:
        """Whether it could not be renewed in time: somebody else may hold it now, so stop what it protects."""


class ItemStore(Protocol):
    """The part of the ledger that a running item writes."""

    def open_item(self, ref: ItemRef, started_at: datetime) -> None:
        """Note that an attempt begins. The same start twice is one attempt; another start is another attempt."""

    def close_item(self, ref: ItemRef, outcome: ItemOutcome) -> None:
        """Write how the attempt ended. The same outcome twice is written once; what ended is never changed."""

    def item(self, ref: ItemRef) -> ItemRecord | None:
        """Return the latest attempt of the item in this run (the tier plays no part in finding it), or None."""

    def journal(self, ref: ItemRef, event: str, facts: Mapping[str, Any]) -> None:
        """Note a destructive step before it is taken. Without the ledger it raises: what is not noted is not done."""

    def index_sets(self, system: str, sets: Sequence["SetLine"]) -> None:
        """Keep which back-up sets the bucket holds now; those that it no longer has are forgotten."""

    def silence(self, holder: str, checks: Sequence[str], reason: str, now: datetime, until: datetime) -> None:
        """Hold the alerts of these checks back until a moment, or until `end_silences`. Without the ledger: nothing."""

    def end_silences(self, holder: str, now: datetime) -> None:
        """Tell again what a holder held back."""

    def sealed_digests(self, event: str) -> Mapping[int, str]:
        """Return the digests that the journal holds as an event, by number; none while the database is down."""

    def cluster(self) -> str:
        """Return which database cluster the ledger lives on; empty while it is down."""

    def known_sets(self, system: str) -> int:
        """Return how many sets the bucket held when somebody last looked."""

    def keep_sample(self, system: str, kind: str, sample: Sample) -> None:
        """Remember what was measured; the same moment again changes nothing. Without the ledger: nothing."""

    def samples(self, system: str, kind: str, since: datetime, at_most: int | None = None) -> Sequence[Sample] | None:
        """Return what was measured since then, the oldest first, with a limit the newest so many.

        None while the ledger's database is down: nobody knows then.
        """

    def drop_samples(self, system: str, before: datetime, *, dry_run: bool) -> DroppedSamples | None:
        """Forget what was measured before a moment, or only count it. None while the ledger's database is down."""

    def lease(self, name: str, holder: str, ttl_seconds: float = LEASE_SECONDS) -> AbstractContextManager[Lease]:
        """Hold a lease while the block runs; a worker that dies loses it after `ttl_seconds`.

        Raises:
            BusyError: somebody who lives holds it; names the holder and since when.
        """

    def require_setup(self, *, tier: str, item: str, cron: str) -> None:
        """Look that `tdev init` ran for this calendar.

        Raises:
            SetupMissingError: the tables are missing, or the ledger's calendar has the item not, or at other times.
        """


class Ledger(ItemStore, Protocol):
    """The whole ledger, as reporting needs it. Every method may raise a TdevError."""

    @property
    def outage(self) -> str:
        """Why the ledger's database cannot be used, in one sentence; empty as long as nothing is wrong."""

    def silences(self, now: datetime) -> Sequence[Silence]:
        """Return the silences in force that work has set for itself; none while the database is down."""

    def bad_since(self, item: str, as_of: datetime) -> Mapping[str, datetime]:
        """Return, for each check of the item that was not OK then, the first moment of that unbroken streak."""

    def save_report(self, ref: ItemRef, report: Report) -> None:
        """Keep a report; the same report again replaces it."""

    def unreported(self, dag_id: str, run_id: str, now: datetime) -> Sequence[ItemRef]:
        """Return the items whose latest attempt has no report: of this run, and what older runs left out.

        Older means ended for an hour (so its own report task no longer writes it) and begun within a week.
        """

    def decide(
        self,
        occasion: str,
        item: str | None,
        as_of: datetime,
        decide: Callable[[Sequence[Episode]], Decision],
        *,
        channels: Sequence[str],
        damping_hours: float,
    ) -> bool:
        """Take one decision on alerts, once: nobody else decides meanwhile, and its message then waits for delivery.

        Args:
            occasion: names the decision; a second time it is not taken, and False is returned.
            item: whose episodes `decide` gets; None for those of all items.
            as_of: how old the news is; with later news of the same item decided on, this decision changes nothing.
            decide: the rule; gets the latest episode of each check that is open or within damping.
            channels: who carries the message.
            damping_hours: how long ended episodes count.
        """

    def next_delivery(self, channel: str, now: datetime) -> Delivery | None:
        """Claim the message that the channel has to carry next; nobody else gets it for two minutes."""

    def record_delivery(self, delivery: Delivery, now: datetime, error: str = "") -> None:
        """Write that the message was handed over, or why not (then it is tried again, for a week)."""

    def waiting(self, channels: Sequence[str], now: datetime) -> int:
        """Return how many messages these channels have not carried yet."""

    def record_heartbeat(self, tier: str, dag_id: str, run_id: str, now: datetime) -> None:
        """Write that a run of the tier was carried to its end."""

    def replay(self) -> Iterator[Replayed]:
        """Bring what waits in the spool into the ledger, oldest first; each is forgotten once its turn is over."""


def outcome_to_json(outcome: ItemOutcome) -> dict[str, Any]:
    """Return the outcome as JSON types that PostgreSQL can keep; `outcome_from_json` is the inverse."""
    data: dict[str, Any] = storable(
        {
            "results": [result.to_json() for result in outcome.results],
            "out_of_scope": [{"check": o.check, "reason": o.reason, "owner": o.owner} for o in outcome.out_of_scope],
            "started_at": outcome.started_at.isoformat(),
            "ended_at": outcome.ended_at.isoformat(),
        }
    )
    return data


def outcome_from_json(data: Mapping[str, Any]) -> ItemOutcome:
    """Rebuild an outcome from `outcome_to_json`'s output."""
    return ItemOutcome(
        results=tuple(CheckResult.from_json(result) for result in data["results"]),
        started_at=datetime.fromisoformat(data["started_at"]),
        ended_at=datetime.fromisoformat(data["ended_at"]),
        out_of_scope=tuple(OutOfScope(**entry) for entry in data["out_of_scope"]),
    )


def outcome_digest(outcome: ItemOutcome) -> str:
    """Return the fingerprint by which the same outcome is known again."""
    return hashlib.sha256(json.dumps(outcome_to_json(outcome), sort_keys=True).encode()).hexdigest()
