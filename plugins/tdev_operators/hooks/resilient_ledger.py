"""The ledger that the operators use: PostgreSQL while that answers, the spool while it does not."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from tdev_operators.core.errors import BusyError, GarbledAnswerError, SetupMissingError, TdevError, TransientError
from tdev_operators.core.items import ItemOutcome, ItemRef
from tdev_operators.core.ledger import (
    LEASE_SECONDS,
    Decision,
    Delivery,
    DroppedSamples,
    ItemRecord,
    Lease,
    Replayed,
    Sample,
    outcome_to_json,
)
from tdev_operators.core.reporting.alerts import Episode, NoticeKind
from tdev_operators.core.reporting.report import Report
from tdev_operators.core.reporting.settings import Silence
from tdev_operators.hooks.ledger import PostgresLedger
from tdev_operators.hooks.spool import Spool, SpooledItem

if TYPE_CHECKING:
    from tdev_operators.core.backup.set_index import SetLine

T = TypeVar("T")


class ResilientLedger:
    """`core.ledger.Ledger` that goes on while the database is down. One object serves one task.

    After its first failure the database is left alone (`outage` says why): outcomes and reports go to the spool, and
    alerts go out without the memory of what was told before. A lease then protects nothing; work that must not run
    twice takes its lease from `primary` instead.
    """

    def __init__(self, primary: PostgresLedger, spool: Spool) -> None:
        self.primary = primary
        self._spool = spool
        self._outage = ""
        self._untracked: dict[str, list[Delivery]] = {}

    @property
    def outage(self) -> str:
        """See `core.ledger.Ledger.outage`."""
        return self._outage

    def open_item(self, ref: ItemRef, started_at: datetime) -> None:
        """See `core.ledger.ItemStore.open_item`. While the database is down, the end alone is kept."""
        self._first(lambda: self.primary.open_item(ref, started_at), lambda: None)

    def close_item(self, ref: ItemRef, outcome: ItemOutcome) -> None:
        """See `core.ledger.ItemStore.close_item`."""

        def spool() -> None:
            content = {"outcome": outcome_to_json(outcome), "reason": self._outage}
            self._spool.keep(ref, outcome.ended_at, "outcome", content)

        self._first(lambda: self.primary.close_item(ref, outcome), spool)

    def item(self, ref: ItemRef) -> ItemRecord | None:
        """See `core.ledger.ItemStore.item`. What waits in the spool counts; with the database back, it is brought in.

        Raises:
            TdevError: neither the database nor the spool answers.
        """
        record: ItemRecord | None = None
        if not self._outage:
            try:
                record = self.primary.item(ref)
            except TdevError as error:
                self._fail(error)
        if self._outage:
            waiting = self._waiting(ref)
            return _record_of(waiting) if waiting else None
        try:
            waiting = self._waiting(ref)
        except TdevError as error:
            remark = f"The spool cannot be read, so a later end of {ref.item} may wait there: {error}"
            return replace(record, remark=remark) if record else None
        if (
            waiting is None
            or not waiting.outcome_is_ours
            or (record and record.started_at > waiting.outcome.started_at)
        ):
            return record
        # Its folder stays until the run is closed; writing the same end twice changes nothing.
        spooled = _record_of(waiting)
        record = self._first(lambda: self._bring_in_outcome(waiting), lambda: spooled)
        return replace(record or spooled, remark=spooled.remark)

    def journal(self, ref: ItemRef, event: str, facts: Mapping[str, Any]) -> None:
        """See `core.ledger.ItemStore.journal`. While the database is down it raises."""
        self.primary.journal(ref, event, facts)

    def index_sets(self, system: str, sets: Sequence["SetLine"]) -> None:
        """See `core.ledger.ItemStore.index_sets`. While the database is down, the next look will do."""
        self._first(lambda: self.primary.index_sets(system, sets), lambda: None)

    def silence(self, holder: str, checks: Sequence[str], reason: str, now: datetime, until: datetime) -> None:
        """See `core.ledger.ItemStore.silence`. Recovery work goes on without: it is then that it is needed."""
        self._first(lambda: self.primary.silence(holder, checks, reason, now, until), lambda: None)

    def end_silences(self, holder: str, now: datetime) -> None:
        """See `core.ledger.ItemStore.end_silences`."""
        self._first(lambda: self.primary.end_silences(holder, now), lambda: None)

    def silences(self, now: datetime) -> Sequence[Silence]:
        """See `core.ledger.Ledger.silences`."""
        return self._first(lambda: self.primary.silences(now), lambda: ())

    def sealed_digests(self, event: str) -> Mapping[int, str]:
        """See `core.ledger.ItemStore.sealed_digests`."""
        return self._first(lambda: self.primary.sealed_digests(event), dict)

    def cluster(self) -> str:
        """See `core.ledger.ItemStore.cluster`."""
        return self._first(self.primary.cluster, lambda: "")

    def known_sets(self, system: str) -> int:
        """See `core.ledger.ItemStore.known_sets`. While the database is down it raises: nothing is removed then."""
        return self.primary.known_sets(system)

    def keep_sample(self, system: str, kind: str, sample: Sample) -> None:
        """See `core.ledger.ItemStore.keep_sample`. While the database is down, there is one sample less."""
        self._first(lambda: self.primary.keep_sample(system, kind, sample), lambda: None)

    def samples(self, system: str, kind: str, since: datetime, at_most: int | None = None) -> Sequence[Sample] | None:
        """See `core.ledger.ItemStore.samples`."""
        nobody_knows: Sequence[Sample] | None = None
        return self._first(lambda: self.primary.samples(system, kind, since, at_most), lambda: nobody_knows)

    def drop_samples(self, system: str, before: datetime, *, dry_run: bool) -> DroppedSamples | None:
        """See `core.ledger.ItemStore.drop_samples`."""
        nothing: DroppedSamples | None = None
        return self._first(lambda: self.primary.drop_samples(system, before, dry_run=dry_run), lambda: nothing)

    @contextmanager
    def lease(self, name: str, holder: str, ttl_seconds: float = LEASE_SECONDS) -> Iterator[Lease]:
        """See `core.ledger.ItemStore.lease`. While the database is down the block runs without protection."""
        held = self.primary.lease(name, holder, ttl_seconds)
        try:
            lease: Lease = held.__enter__()
        except BusyError:
            raise
        except TdevError as error:
            self._fail(error)
            yield _NoLease()
            return
        try:
            yield lease
        finally:
            held.__exit__(None, None, None)

    def require_setup(self, *, tier: str, item: str, cron: str) -> None:
        """See `core.ledger.ItemStore.require_setup`. With the database out of reach, work goes on."""
        try:
            self.primary.require_setup(tier=tier, item=item, cron=cron)
        except SetupMissingError:
            raise
        except TdevError as error:
            self._fail(error)

    def bad_since(self, item: str, as_of: datetime) -> Mapping[str, datetime]:
        """See `core.ledger.Ledger.bad_since`. Nobody knows while the database is down."""
        nothing: Mapping[str, datetime] = {}
        return self._first(lambda: self.primary.bad_since(item, as_of), lambda: nothing)

    def save_report(self, ref: ItemRef, report: Report) -> None:
        """See `core.ledger.Ledger.save_report`."""

        def spool() -> None:
            content = {"report": report.to_json(), "reason": self._outage}
            self._spool.keep(ref, report.ended_at, "report", content)

        self._first(lambda: self.primary.save_report(ref, report), spool)

    def unreported(self, dag_id: str, run_id: str, now: datetime) -> Sequence[ItemRef]:
        """See `core.ledger.Ledger.unreported`."""
        nothing: Sequence[ItemRef] = ()
        return self._first(lambda: self.primary.unreported(dag_id, run_id, now), lambda: nothing)

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
        """See `core.ledger.Ledger.decide`. While the database is down, everything that is red is news."""

        def decide_without_memory() -> bool:
            message = decide(()).message
            if message is None:
                return True
            for channel in channels:
                self._untracked.setdefault(channel, []).append(Delivery(channel, message))
            return True

        return self._first(
            lambda: self.primary.decide(occasion, item, as_of, decide, channels=channels, damping_hours=damping_hours),
            decide_without_memory,
        )

    def next_delivery(self, channel: str, now: datetime) -> Delivery | None:
        """See `core.ledger.Ledger.next_delivery`."""
        if waiting := self._untracked.get(channel):
            return waiting[0]
        return self._first(lambda: self.primary.next_delivery(channel, now), lambda: None)

    def record_delivery(self, delivery: Delivery, now: datetime, error: str = "") -> None:
        """See `core.ledger.Ledger.record_delivery`."""
        waiting = self._untracked.get(delivery.channel, [])
        if delivery not in waiting:
            self._first(lambda: self.primary.record_delivery(delivery, now, error), lambda: None)
            return
        waiting.remove(delivery)
        report = delivery.message.report
        if report and not error:
            checks = [n.check for n in delivery.message.notices if n.kind is not NoticeKind.ENDED]
            # The message is out; without this note it may go out once more when the ledger is back.
            with suppress(TdevError):
                self._spool.keep(report.ref, report.ended_at, "told", {"checks": checks})

    def waiting(self, channels: Sequence[str], now: datetime) -> int:
        """See `core.ledger.Ledger.waiting`. While the database is down, what is not sent at once is not kept."""
        return self._first(lambda: self.primary.waiting(channels, now), lambda: 0)

    def record_heartbeat(self, tier: str, dag_id: str, run_id: str, now: datetime) -> None:
        """See `core.ledger.Ledger.record_heartbeat`."""
        self._first(lambda: self.primary.record_heartbeat(tier, dag_id, run_id, now), lambda: None)

    def replay(self) -> Iterator[Replayed]:
        """See `core.ledger.Ledger.replay`.

        Raises:
            TdevError: an entry could not be brought in; the others were, and it stays for the next time.
        """
        refused: TdevError | None = None
        for folder in self._spool.folders() if not self._outage else ():
            try:
                entry = self._spool.read(folder)
                if entry:
                    self._bring_in(entry)
            except TransientError as error:
                self._fail(error)
                return
            except TdevError as error:
                refused = error
                continue
            if entry:
                yield Replayed(entry.ref, entry.outcome, entry.report is not None, entry.told, entry.reason)
            self._spool.forget(folder)
        if refused:
            raise refused

    def _bring_in(self, entry: SpooledItem) -> None:
        if entry.outcome_is_ours:
            self.primary.close_item(entry.ref, entry.outcome)
        if entry.report:
            self.primary.save_report(entry.ref, entry.report)

    def _bring_in_outcome(self, entry: SpooledItem) -> ItemRecord | None:
        self.primary.close_item(entry.ref, entry.outcome)
        return self.primary.item(entry.ref)

    def _waiting(self, ref: ItemRef) -> SpooledItem | None:
        folders = self._spool.folders(ref)
        return self._spool.read(folders[-1]) if folders else None

    def _first(self, primary: Callable[[], T], otherwise: Callable[[], T]) -> T:
        if not self._outage:
            try:
                return primary()
            except (BusyError, GarbledAnswerError):
                raise  # the database answers: this is no outage
            except TdevError as error:
                self._fail(error)
        return otherwise()

    def _fail(self, error: TdevError) -> None:
        self._outage = f"The ledger is down: {error}"


class _NoLease:
    """Stands for the lease that a ledger which is down could not give: never held, so never lost."""

    lost = False


def _record_of(entry: SpooledItem) -> ItemRecord:
    outcome = entry.outcome
    return ItemRecord(
        ref=entry.ref,
        attempt=entry.report.attempt if entry.report else 1,
        started_at=outcome.started_at,
        ended_at=outcome.ended_at,
        verdict=outcome.verdict,
        results=outcome.results,
        out_of_scope=outcome.out_of_scope,
        report_id=entry.report.id if entry.report else "",
        first_ended_at=outcome.ended_at,
        remark=f"The outcome of {entry.ref.item} waited in the spool. {entry.reason}",
    )
