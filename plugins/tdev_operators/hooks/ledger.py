"""The ledger in PostgreSQL, schema `maintenance`, in a database of its own (connection `tdev_ledger`)."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from tdev_operators.core.errors import BusyError, GarbledAnswerError, SetupMissingError, TdevError
from tdev_operators.core.items import ItemOutcome, ItemRef
from tdev_operators.core.ledger import (
    LEASE_SECONDS,
    Decision,
    Delivery,
    DroppedSamples,
    ItemRecord,
    Sample,
    outcome_digest,
    outcome_to_json,
)
from tdev_operators.core.reporting.alerts import Episode, Told
from tdev_operators.core.reporting.escaping import storable
from tdev_operators.core.reporting.messages import AlertMessage
from tdev_operators.core.reporting.rendering import render_markdown, render_text
from tdev_operators.core.reporting.report import Report
from tdev_operators.core.reporting.settings import Silence
from tdev_operators.core.reporting.wording import moment
from tdev_operators.core.verdicts import CheckResult, OutOfScope, Verdict
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.ledger_database import LedgerDatabase, LedgerTransaction, as_json

if TYPE_CHECKING:
    from tdev_operators.core.backup.set_index import SetLine

# A lease is renewed three times in its life, so that one lost packet does not lose it.
_RENEWALS = 3


class PostgresLedger:
    """`core.ledger.Ledger` but for the spool, which `hooks.spool` adds."""

    def __init__(self, facts: ConnectionFacts) -> None:
        self._database = LedgerDatabase(facts)

    def open_item(self, ref: ItemRef, started_at: datetime) -> None:
        """See `core.ledger.ItemStore.open_item`."""
        with self._database.transaction() as tx:
            tx.rows("open_attempt", item_run_id=_hold(tx, ref), started_at=started_at)

    def close_item(self, ref: ItemRef, outcome: ItemOutcome) -> None:
        """See `core.ledger.ItemStore.close_item`."""
        digest, data = outcome_digest(outcome), outcome_to_json(outcome)
        with self._database.transaction() as tx:
            run = _hold(tx, ref)
            if tx.row("attempt_with_outcome", item_run_id=run, outcome_digest=digest):
                return
            attempt = tx.row("attempt_to_close", item_run_id=run, started_at=outcome.started_at) or tx.row(
                "open_attempt", item_run_id=run, started_at=outcome.started_at
            )
            if attempt is None:
                raise GarbledAnswerError(f"{ref.item} has another outcome of the same start; look at its task's log.")
            tx.rows(
                "close_attempt",
                attempt_id=attempt["id"],
                ended_at=outcome.ended_at,
                verdict=outcome.verdict.value,
                outcome_digest=digest,
                out_of_scope=as_json(data["out_of_scope"]),
            )
            tx.rows(
                "add_results",
                attempt_id=attempt["id"],
                item=ref.item,
                ended_at=outcome.ended_at,
                results=as_json(data["results"]),
            )

    def item(self, ref: ItemRef) -> ItemRecord | None:
        """See `core.ledger.ItemStore.item`."""
        with self._database.transaction() as tx:
            row = tx.row("item", dag_id=ref.dag_id, run_id=ref.run_id, item=ref.item)
        if row is None:
            return None
        return ItemRecord(
            ref=ItemRef(row["tier"], ref.dag_id, ref.run_id, ref.item),
            attempt=row["attempt"],
            started_at=row["started_at"],
            ended_at=row["ended_at"],
            verdict=Verdict(row["verdict"]) if row["verdict"] else None,
            results=tuple(CheckResult.from_json(result) for result in row["results"]),
            out_of_scope=tuple(OutOfScope(**entry) for entry in row["out_of_scope"]),
            report_id=row["report_id"],
            first_ended_at=row["first_ended_at"],
        )

    def journal(self, ref: ItemRef, event: str, facts: Mapping[str, Any]) -> None:
        """See `core.ledger.ItemStore.journal`."""
        with self._database.transaction() as tx:
            tx.rows("add_journal", item_run_id=_hold(tx, ref), event=event, facts=as_json(storable(dict(facts))))

    def index_sets(self, system: str, sets: Sequence["SetLine"]) -> None:
        """See `core.ledger.ItemStore.index_sets`."""
        with self._database.transaction() as tx:
            for one in sets:
                tx.rows(
                    "keep_backup_set",
                    system=system,
                    set_id=one.set_id,
                    sequence=one.sequence,
                    state=one.state.value,
                    recovery_point=one.recovery_point,
                    facts=as_json(one.facts),
                )
            tx.rows("drop_backup_sets", system=system, kept=[one.set_id for one in sets])

    def silence(self, holder: str, checks: Sequence[str], reason: str, now: datetime, until: datetime) -> None:
        """See `core.ledger.ItemStore.silence`."""
        with self._database.transaction() as tx:
            tx.rows("set_silence", holder=holder, checks=list(checks), reason=reason, now=now, ends_at=until)

    def end_silences(self, holder: str, now: datetime) -> None:
        """See `core.ledger.ItemStore.end_silences`."""
        with self._database.transaction() as tx:
            tx.rows("end_silences", holder=holder, now=now)

    def silences(self, now: datetime) -> tuple[Silence, ...]:
        """See `core.ledger.Ledger.silences`."""
        with self._database.transaction() as tx:
            rows = tx.rows("silences", now=now)
        return tuple(
            Silence(check=row["check_name"], owner=row["holder"], reason=row["reason"], until=row["ends_at"])
            for row in rows
        )

    def sealed_digests(self, event: str) -> Mapping[int, str]:
        """See `core.ledger.ItemStore.sealed_digests`."""
        with self._database.transaction() as tx:
            return {int(row["number"]): str(row["sha256"]) for row in tx.rows("sealed_digests", event=event)}

    def cluster(self) -> str:
        """See `core.ledger.ItemStore.cluster`."""
        with self._database.transaction() as tx:
            row = tx.row("identity")
        return str(row["cluster"]) if row else ""

    def known_sets(self, system: str) -> int:
        """See `core.ledger.ItemStore.known_sets`."""
        with self._database.transaction() as tx:
            return sum(row["system"] == system for row in tx.rows("backup_sets"))

    def keep_sample(self, system: str, kind: str, sample: Sample) -> None:
        """See `core.ledger.ItemStore.keep_sample`."""
        facts = as_json(storable(dict(sample.facts)))
        with self._database.transaction() as tx:
            tx.rows("keep_sample", system=system, kind=kind, taken_at=sample.taken_at, facts=facts)

    def samples(self, system: str, kind: str, since: datetime, at_most: int | None = None) -> Sequence[Sample]:
        """See `core.ledger.ItemStore.samples`."""
        with self._database.transaction() as tx:
            rows = tx.rows("samples", system=system, kind=kind, since=since, at_most=at_most)
        return [Sample(row["taken_at"], row["facts"]) for row in rows]

    def drop_samples(self, system: str, before: datetime, *, dry_run: bool) -> DroppedSamples:
        """See `core.ledger.ItemStore.drop_samples`."""
        with self._database.transaction() as tx:
            row = tx.row("old_samples" if dry_run else "drop_samples", system=system, before=before)
        return DroppedSamples(int(row["samples"]), int(row["bytes"])) if row else DroppedSamples(0, 0)

    @contextmanager
    def lease(self, name: str, holder: str, ttl_seconds: float = LEASE_SECONDS) -> Iterator["HeldLease"]:
        """See `core.ledger.ItemStore.lease`. Time is the database's, so the workers' clocks play no part."""
        token = uuid.uuid4()
        with self._database.transaction() as tx:
            if not tx.row("take_lease", name=name, token=token, holder=holder, ttl_seconds=ttl_seconds):
                other = tx.row("lease_holder", name=name) or {"holder": "somebody", "since": None}
                since = f" since {moment(other['since'])}" if other["since"] else ""
                raise BusyError(f"{other['holder']} holds {name}{since}; wait until it ends.")
        held = HeldLease(self._database, name, token, ttl_seconds)
        held.start()
        try:
            yield held
        finally:
            held.stop()
            # A lease that cannot be given back now ends by itself; the work that it protected is done either way.
            with suppress(TdevError), self._database.transaction() as tx:
                tx.rows("release_lease", name=name, token=token)

    def require_setup(self, *, tier: str, item: str, cron: str) -> None:
        """See `core.ledger.ItemStore.require_setup`."""
        with self._database.transaction() as tx:
            kept = {(row["tier"], row["item"]): row["cron"] for row in tx.rows("calendar")}
        if kept.get((tier, item)) != cron:
            raise SetupMissingError(f"The ledger does not know {item} at {cron!r} in the {tier} tier; run `tdev init`.")

    def bad_since(self, item: str, as_of: datetime) -> Mapping[str, datetime]:
        """See `core.ledger.Ledger.bad_since`."""
        with self._database.transaction() as tx:
            return {row["check_name"]: row["since"] for row in tx.rows("bad_since", item=item, as_of=as_of)}

    def save_report(self, ref: ItemRef, report: Report) -> None:
        """See `core.ledger.Ledger.save_report`.

        Raises:
            GarbledAnswerError: the ledger has no attempt that ended when the report says.
        """
        with self._database.transaction() as tx:
            saved = tx.row(
                "save_report",
                id=report.id,
                created_at=report.created_at,
                report=as_json(report.to_json()),
                markdown=render_markdown(report),
                plain=render_text(report),
                dag_id=ref.dag_id,
                run_id=ref.run_id,
                item=ref.item,
                ended_at=report.ended_at,
            )
        if saved is None:
            raise GarbledAnswerError(f"The ledger has no end of {ref.item} that the report {report.id} could be about.")

    def unreported(self, dag_id: str, run_id: str, now: datetime) -> Sequence[ItemRef]:
        """See `core.ledger.Ledger.unreported`."""
        with self._database.transaction() as tx:
            rows = tx.rows("unreported", dag_id=dag_id, run_id=run_id, now=now)
        return [ItemRef(row["tier"], row["dag_id"], row["run_id"], row["item"]) for row in rows]

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
        """See `core.ledger.Ledger.decide`."""
        with self._database.transaction() as tx:
            tx.rows("lock_decisions")
            taken = tx.row("take_decision", key=occasion, item=item or "", as_of=as_of)
            if taken is None:
                return False
            if taken["outdated"]:
                return True
            ended_after = as_of - timedelta(hours=damping_hours)
            rows = tx.rows("episodes_to_decide", item=item, ended_after=ended_after)
            decision = decide([episode_of(row) for row in rows])
            tx.many("add_episode", [_episode_binds(e) for e in decision.episodes if e.id is None])
            tx.many("update_episode", [_episode_binds(e) for e in decision.episodes if e.id is not None])
            if message := decision.message:
                tx.rows(
                    "add_alert",
                    id=message.id,
                    created_at=message.created_at,
                    message=as_json(message.to_json()),
                    channels=list(channels),
                )
        return True

    def next_delivery(self, channel: str, now: datetime) -> Delivery | None:
        """See `core.ledger.Ledger.next_delivery`."""
        with self._database.transaction() as tx:
            row = tx.row("claim_delivery", channel=channel, now=now)
        return Delivery(channel, AlertMessage.from_json(row["message"])) if row else None

    def record_delivery(self, delivery: Delivery, now: datetime, error: str = "") -> None:
        """See `core.ledger.Ledger.record_delivery`."""
        with self._database.transaction() as tx:
            tx.rows("record_delivery", alert_id=delivery.message.id, channel=delivery.channel, now=now, error=error)

    def waiting(self, channels: Sequence[str], now: datetime) -> int:
        """See `core.ledger.Ledger.waiting`."""
        with self._database.transaction() as tx:
            row = tx.row("waiting_deliveries", channels=list(channels), now=now)
        return int(row["waiting"]) if row else 0

    def record_heartbeat(self, tier: str, dag_id: str, run_id: str, now: datetime) -> None:
        """See `core.ledger.Ledger.record_heartbeat`."""
        with self._database.transaction() as tx:
            tx.rows("record_heartbeat", tier=tier, dag_id=dag_id, run_id=run_id, now=now)


class HeldLease:
    """A lease in force; a background thread moves its end on."""

    def __init__(self, database: LedgerDatabase, name: str, token: uuid.UUID, ttl_seconds: float) -> None:
        self._database = database
        self._binds: dict[str, Any] = {"name": name, "token": token, "ttl_seconds": ttl_seconds}
        self._pause = ttl_seconds / _RENEWALS
        self._ended = Event()
        self._lost = Event()
        self._thread = Thread(target=self._renew, name=f"lease {name}", daemon=True)

    @property
    def lost(self) -> bool:
        """See `core.ledger.Lease.lost`."""
        return self._lost.is_set()

    def start(self) -> None:
        """Begin to renew."""
        self._thread.start()

    def stop(self) -> None:
        """Renew no more."""
        self._ended.set()
        self._thread.join()

    def _renew(self) -> None:
        misses = 0
        while not self._ended.wait(self._pause):
            try:
                with self._database.transaction() as tx:
                    kept = tx.row("renew_lease", **self._binds) is not None
            except TdevError:
                misses += 1
                if misses >= _RENEWALS:
                    self._lost.set()
                continue
            misses = 0
            if not kept:
                self._lost.set()
                return


def episode_of(row: Mapping[str, Any]) -> Episode:
    """Return the episode in a row of `episodes_to_decide` or `open_episodes`."""
    return Episode(
        item=row["item"],
        check=row["check_name"],
        severity=Verdict(row["severity"]),
        summary=row["summary"],
        hint=row["hint"],
        opened_at=row["opened_at"],
        seen_at=row["seen_at"],
        report_id=row["report_id"],
        ended_at=row["ended_at"],
        told=Told(row["told"]),
        told_severity=Verdict(row["told_severity"]) if row["told_severity"] else None,
        told_at=row["told_at"],
        suppressed=row["suppressed"],
        id=row["id"],
    )


def _episode_binds(episode: Episode) -> dict[str, object]:
    return {
        "id": episode.id,
        "item": episode.item,
        "check_name": episode.check,
        "severity": episode.severity.value,
        "summary": episode.summary,
        "hint": episode.hint,
        "report_id": episode.report_id,
        "opened_at": episode.opened_at,
        "seen_at": episode.seen_at,
        "ended_at": episode.ended_at,
        "told": episode.told.value,
        "told_severity": episode.told_severity.value if episode.told_severity else None,
        "told_at": episode.told_at,
        "suppressed": episode.suppressed,
    }


def _hold(tx: LedgerTransaction, ref: ItemRef) -> int:
    row = tx.row("hold_item_run", tier=ref.tier, dag_id=ref.dag_id, run_id=ref.run_id, item=ref.item)
    assert row is not None  # noqa: S101 - the statement always returns its row
    return int(row["id"])
