"""`core.security.ledger` in PostgreSQL: two tables of the ledger, merged in one transaction."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from tdev_operators.core.security.findings import Finding, Severity, former_identities
from tdev_operators.core.security.ledger import LastLook, Look, Recorded, Scope, Seen, Sort
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.ledger_database import LedgerDatabase, as_json

_CHUNK = 2_000  # findings of one statement: some 2 MB


class PostgresFindings:
    """`FindingsLedger` in the ledger's database."""

    def __init__(self, facts: ConnectionFacts) -> None:
        self._database = LedgerDatabase(facts)

    def merge(
        self, system: str, at: datetime, looks: Sequence[Look], seen: Iterable[Seen], scope: Sequence[Scope] = ()
    ) -> None:
        """See `FindingsLedger.merge`."""
        with self._database.transaction() as tx:
            tx.rows("lock_findings", system=system)
            for chunk in _chunks(seen):
                if renamed := [_renamed(one) for one in chunk if one.finding.aliases]:
                    tx.rows("rename_findings", system=system, findings=as_json(renamed))
                tx.rows("keep_findings", system=system, at=at, findings=as_json([_fields(one) for one in chunk]))
                tx.rows("keep_sightings", system=system, at=at, findings=as_json([_sighting(one) for one in chunk]))
            for look in looks:
                place = {"system": system, "at": at, "scanner": look.scanner, "target": look.target}
                if look.complete:
                    tx.rows("end_sightings", **place)
                else:
                    tx.rows("drop_look", **place)
                if look.complete and look.basis:
                    tx.rows("keep_look", **place, basis=look.basis, result=as_json(look.result))
            if scope:
                wanted = as_json([{"scanner": one.scanner, "target": one.target} for one in scope])
                tx.rows("end_sightings_elsewhere", system=system, at=at, scope=wanted)
            tx.rows("plan_for_many")
            tx.rows("fix_findings", system=system, at=at)

    def waive(self, system: str, answered: Sequence[tuple[str, str, datetime | None]]) -> None:
        """See `FindingsLedger.waive`."""
        keys = ("identity", "waiver", "waived_until")
        with self._database.transaction() as tx:
            for start in range(0, len(answered), _CHUNK):
                each = [
                    {**dict(zip(keys, one, strict=True)), "waived_until": one[2].isoformat() if one[2] else None}
                    for one in answered[start : start + _CHUNK]
                ]
                tx.rows("waive", system=system, findings=as_json(each))

    def last_look(self, system: str, scanner: str, target: str, since: datetime, basis: str) -> LastLook | None:
        """See `FindingsLedger.last_look`."""
        place = {"system": system, "scanner": scanner, "target": target}
        with self._database.transaction() as tx:
            last = tx.row("last_look", **place, since=since, basis=basis)
            rows = tx.rows("sighted", **place) if last else []
        if last is None:
            return None
        findings = tuple(replace(Finding.from_json(row["facts"]), scanner=scanner) for row in rows)
        return LastLook(last["looked_at"], last["result"], findings)

    def has_looked(self, system: str) -> bool:
        """See `FindingsLedger.has_looked`."""
        with self._database.transaction() as tx:
            row = tx.row("has_looked", system=system)
        return bool(row and row["has_looked"])

    def counts(self, system: str, at: datetime) -> Mapping[Severity, Mapping[Sort, int]]:
        """See `FindingsLedger.counts`."""
        with self._database.transaction() as tx:
            rows = tx.rows("finding_counts", system=system, at=at)
        return {
            Severity(row["severity"]): {sort: row[sort.value] for sort in Sort if sort.value in row} for row in rows
        }

    def findings(self, system: str, at: datetime, sort: Sort, *, most: int) -> list[Recorded]:
        """See `FindingsLedger.findings`."""
        return list(islice(self.each(system, at, sort, page=most), most))

    def each(self, system: str, at: datetime, sort: Sort, *, page: int = _CHUNK) -> Iterator[Recorded]:
        """See `FindingsLedger.each`."""
        behind: dict[str, Any] = {"priority": -1, "due_at": datetime.min.replace(tzinfo=UTC), "identity": ""}
        while True:
            with self._database.transaction() as tx:
                rows = tx.rows("findings", system=system, at=at, sort=sort.value, most=page, **behind)
            for row in rows:
                behind = {"priority": row.pop("priority"), "due_at": row["due_at"]}
                one = Recorded(finding=Finding.from_json(row.pop("facts")), **row)
                behind["identity"] = one.finding.identity
                yield one
            if len(rows) < page:
                return


def _chunks(seen: Iterable[Seen]) -> Iterator[list[Seen]]:
    chunk: list[Seen] = []
    for one in seen:
        chunk.append(one)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _fields(one: Seen) -> dict[str, Any]:
    finding = one.finding
    return {
        "identity": finding.identity,
        "target": finding.target,
        "severity": finding.severity.value,
        "priority": one.priority,
        "due_days": one.due_days,
        "waiver": one.waiver,
        "waived_until": one.waived_until.isoformat() if one.waived_until else None,
        "facts": finding.to_json(),
    }


def _renamed(one: Seen) -> dict[str, Any]:
    return {"identity": one.finding.identity, "former": former_identities(one.finding)}


def _sighting(one: Seen) -> dict[str, Any]:
    finding = one.finding
    return {"identity": finding.identity, "target": finding.target, "scanners": finding.scanner.split(", ")}
