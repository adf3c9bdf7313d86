"""What the ledger remembers, for the compliance audit: implements `core.compliance.ground.Records`."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from tdev_operators.core.compliance.ground import PastResult, PastRun, PlannedItem
from tdev_operators.core.ledger import Sample
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.ledger import PostgresLedger
from tdev_operators.hooks.ledger_database import LedgerDatabase


class LedgerRecords:
    """The ledger of a system, in PostgreSQL. Every method raises what `LedgerDatabase.transaction` does."""

    def __init__(self, facts: ConnectionFacts, system: str) -> None:
        self._database, self._ledger, self._system = LedgerDatabase(facts), PostgresLedger(facts), system

    def results(self, pattern: str) -> Sequence[PastResult]:
        """See `Records.results`."""
        area = pattern[:-1] if pattern.endswith(".*") else ""
        with self._database.transaction() as tx:
            rows = tx.rows("past_results", name=pattern, area=area)
        return [
            PastResult(
                row["check_name"],
                row["item"],
                Verdict(row["verdict"]),
                str(row["summary"]),
                row["ended_at"],
                row["report_id"],
            )
            for row in rows
        ]

    def calendar(self) -> Sequence[PlannedItem]:
        """See `Records.calendar`."""
        with self._database.transaction() as tx:
            rows = tx.rows("calendar")
        return [PlannedItem(row["tier"], row["item"], row["cron"], row["since"]) for row in rows]

    def runs(self, since: datetime) -> Sequence[PastRun]:
        """See `Records.runs`."""
        with self._database.transaction() as tx:
            rows = tx.rows("past_runs", since=since)
        return [PastRun(row["item"], row["started_at"], row["ended_at"]) for row in rows]

    def guards(self) -> Mapping[str, bool]:
        """See `Records.guards`."""
        with self._database.transaction() as tx:
            rows = tx.rows("guards")
        return {f"maintenance.{row['table_name']}": row["guarded"] for row in rows}

    def samples(self, kind: str, since: datetime) -> Sequence[Sample]:
        """See `Records.samples`."""
        return self._ledger.samples(self._system, kind, since)

    def digests(self, event: str) -> Mapping[int, str]:
        """See `Records.digests`."""
        return self._ledger.sealed_digests(event)
