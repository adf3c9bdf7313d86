"""The ledger as it is looked at: by the page, by `tdev status`; and the calendar that `tdev init` writes into it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from tdev_operators.core.backup.set_index import SetLine
from tdev_operators.core.reporting.alerts import Episode
from tdev_operators.core.reporting.report import Report
from tdev_operators.core.reporting.status import CalendarItem, LastRun, Status, assess
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.ledger import episode_of
from tdev_operators.hooks.ledger_database import LedgerDatabase


@dataclass(frozen=True, slots=True)
class ReportLine:
    """A report in a list."""

    report_id: str
    created_at: datetime
    tier: str
    item: str
    run_id: str
    verdict: Verdict
    headline: str
    bad_since: datetime | None


@dataclass(frozen=True, slots=True)
class Overview:
    """What the first page shows: reports (newest first), what is red now, and the items that one can filter by."""

    reports: tuple[ReportLine, ...]
    episodes: tuple[Episode, ...]
    items: tuple[tuple[str, str], ...]


class LedgerViews:
    """Questions to the ledger. Every method may raise what `LedgerDatabase.transaction` does."""

    def __init__(self, facts: ConnectionFacts) -> None:
        self._database = LedgerDatabase(facts)

    def overview(self, *, tier: str = "", item: str = "", limit: int = 100) -> Overview:
        """Return the latest reports, of one tier or item if named, with what is red and what there is."""
        with self._database.transaction() as tx:
            reports = tx.rows("latest_reports", tier=tier, item=item, limit=limit)
            episodes = tx.rows("open_episodes")
            known = tx.rows("known_items")
        return Overview(
            reports=tuple(_line(row) for row in reports),
            episodes=tuple(episode_of(row) for row in episodes),
            items=tuple((row["tier"], row["item"]) for row in known),
        )

    def report(self, identity: str) -> Report | None:
        """Return one report; None when there is none of this id (a UUID)."""
        with self._database.transaction() as tx:
            row = tx.row("report", id=identity)
        return Report.from_json(row["report"]) if row else None

    def sets(self) -> dict[str, list[SetLine]]:
        """Return the back-up sets of each system, the newest first, as the bucket was seen last."""
        with self._database.transaction() as tx:
            rows = tx.rows("backup_sets")
        return {system: [SetLine.of_row(row) for row in of] for system, of in groupby(rows, key=itemgetter("system"))}

    def status(self, now: datetime) -> Status:
        """Return the state of the maintenance."""
        with self._database.transaction() as tx:
            calendar = [CalendarItem(**row) for row in tx.rows("calendar")]
            heartbeats = {row["tier"]: row["beat_at"] for row in tx.rows("last_heartbeats")}
            attempts = tx.rows("last_attempts")
            episodes = tx.rows("open_episodes")
        runs = [
            LastRun(
                tier=row["tier"],
                item=row["item"],
                run_id=row["run_id"],
                started_at=row["started_at"],
                ended_at=row["ended_at"],
                verdict=Verdict(row["verdict"]) if row["verdict"] else None,
                report_id=row["report_id"],
            )
            for row in attempts
        ]
        return assess(calendar, runs, heartbeats, [episode_of(row) for row in episodes], now)


def keep_calendar(facts: ConnectionFacts, items: Iterable[CalendarItem]) -> None:
    """Write the whole calendar into the ledger; items that it no longer has are forgotten."""
    with LedgerDatabase(facts).transaction() as tx:
        kept = []
        for entry in items:
            tx.rows(
                "keep_calendar_item",
                tier=entry.tier,
                item=entry.item,
                cron=entry.cron,
                minutes=entry.minutes,
                priority=entry.priority,
                owner=entry.owner,
            )
            kept.append(f"{entry.tier}/{entry.item}")
        tx.rows("drop_calendar_items", kept=kept)


def _line(row: dict[str, Any]) -> ReportLine:
    since = row["bad_since"]
    return ReportLine(
        report_id=row["report_id"],
        created_at=row["created_at"],
        tier=row["tier"],
        item=row["item"],
        run_id=row["run_id"],
        verdict=Verdict(row["verdict"]),
        headline=row["headline"],
        bad_since=datetime.fromisoformat(since) if since else None,
    )
