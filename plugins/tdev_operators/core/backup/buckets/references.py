"""Whether what the database refers to is in the bucket's snapshot: a merge of two sorted streams."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tdev_operators.core.backup.buckets.index import Entry
from tdev_operators.core.backup.ports import Session
from tdev_operators.core.health.findings import some
from tdev_operators.core.reporting.wording import counted
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict

_HINT = (
    "A restored database would refer to sources that are in no bucket: find them in an earlier set, or remove the rows."
)
_KEPT = 100


@dataclass(frozen=True, slots=True)
class References:
    """How the rows at the database's snapshot and the objects of the bucket's agree; lists hold the first hundred."""

    expected: int
    dangling: tuple[str, ...]
    dangling_count: int
    deleted_since: tuple[str, ...]
    surplus: int

    def result(self) -> CheckResult:
        """Return the verdict: dangling is CRITICAL, deleted meanwhile a WARNING, surplus a figure."""
        coverage = Coverage(seen=("agents",))
        measured = (
            Measurement("keys that the database refers to", self.expected),
            Measurement("dangling", self.dangling_count),
            Measurement("deleted since the snapshot", len(self.deleted_since)),
            Measurement("objects without a row", self.surplus),
        )
        if self.dangling_count:
            names = some(list(self.dangling), of=self.dangling_count)
            summary = (
                f"{counted(self.dangling_count, 'source')} that the database refers to is not in the set: {names}."
            )
            return CheckResult("backup.references", Verdict.CRITICAL, summary, measured, _HINT, coverage)
        if self.deleted_since:
            summary = (
                "Deleted with their rows between the database's snapshot and the bucket's, so that a restored database "
                f"refers to them: {some(list(self.deleted_since))}."
            )
            return CheckResult("backup.references", Verdict.WARNING, summary, measured, _HINT, coverage)
        summary = (
            f"All {self.expected:,} sources that the database refers to are in the set; {self.surplus:,} have no row."
        )
        return CheckResult("backup.references", Verdict.OK, summary, measured, coverage=coverage)


def source_keys(session: Session, template: str) -> list[str]:
    """Return the keys that a database's agents refer to, in key order (by UTF-8 bytes)."""
    rows = session.rows(load_sql("backup/agent_sources"))
    return sorted({template.format(**row) for row in rows}, key=str.encode)


def check_references(
    expected: Iterable[str], entries: Iterable[Entry], *, still_there: Callable[[Sequence[str]], set[str]]
) -> References:
    """Hold the keys that the database referred to at its snapshot against the entries of the bucket's snapshot.

    Both come in key order (by UTF-8 bytes). `still_there(keys)` says which of some keys the live database still refers
    to: a missing one that it does not was deleted together with its object.
    """
    missing, surplus, count = [], 0, 0
    keys = iter(expected)
    entry_keys = (entry.key for entry in entries)
    here = next(entry_keys, None)
    for key in keys:
        count += 1
        while here is not None and here < key:
            surplus += 1
            here = next(entry_keys, None)
        if here == key:
            here = next(entry_keys, None)
        else:
            missing.append(key)
    surplus += (here is not None) + _length(entry_keys)
    there = still_there(missing) if missing else set()
    dangling = [key for key in missing if key in there]
    deleted = [key for key in missing if key not in there]
    return References(count, tuple(dangling[:_KEPT]), len(dangling), tuple(deleted[:_KEPT]), surplus)


def _length(rest: Iterator[str]) -> int:
    return sum(1 for _ in rest)
