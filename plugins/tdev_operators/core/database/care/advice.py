"""Indexes that are unused, superfluous or missing: reported with the statement that mends it, never applied."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tdev_operators.core.backup.ports import Session, SourceDatabase
from tdev_operators.core.database.care.indexes import MB
from tdev_operators.core.errors import TargetUnreachableError, TdevError
from tdev_operators.core.ledger import Sample
from tdev_operators.core.reporting.wording import counted
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict

_MINIMUM_BYTES = MB
_MINIMUM_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Unused:
    """What it takes to call an index unused: the standbys (connections), so many days, and what was unused before.

    `known` are samples with the `oids` that were unused then; None: the ledger is down.
    """

    standbys: Sequence[str]
    server: Callable[[str], SourceDatabase]
    days: float
    known: Sequence[Sample] | None
    now: datetime


@dataclass(frozen=True, slots=True)
class Counted:
    """What a server says of the indexes that nobody used elsewhere; `error` says why it could not be asked."""

    server: str
    used: frozenset[int] = frozenset()
    days: float = 0.0
    error: str = ""


def advise(session: Session, asked: Unused, tool: str) -> tuple[list[CheckResult], set[int] | None]:
    """Return what there is to say about unused, superfluous and missing indexes, and which nobody has used so far.

    What cannot be looked at is UNKNOWN, and the others are told all the same.
    """
    unused = set[int]()
    looks: dict[str, Callable[[], CheckResult]] = {
        "care.unused_indexes": lambda: _unused(session, asked, unused, tool),
        "care.duplicate_indexes": lambda: _superfluous(session, tool),
        "care.foreign_keys": lambda: _foreign_keys(session, tool),
    }
    results = []
    for name, look in looks.items():
        try:
            results.append(look())
        except TargetUnreachableError:
            raise
        except TdevError as error:
            results.append(CheckResult(name, Verdict.UNKNOWN, f"Could not look: {error}"))
    return results, unused if results[0].coverage.seen else None


def _unused(session: Session, asked: Unused, so_far: set[int], tool: str) -> CheckResult:
    name = "care.unused_indexes"
    found = session.rows(load_sql("care/unused_indexes"), {"minimum_bytes": _MINIMUM_BYTES})
    oids = [row["oid"] for row in found]
    [here] = session.rows(load_sql("care/used_indexes"), {"oids": oids})
    servers = [_counted("the primary", here), *(_elsewhere(asked, one, oids, here) for one in asked.standbys)]
    skipped = {one.server: one.error for one in servers if one.error}
    [followed] = session.rows(load_sql("care/standbys"))
    if found and (unnamed := followed["standbys"] - len(asked.standbys)) > 0:
        skipped[counted(unnamed, "more standby")] = (
            "care.indexes.standbys does not name it, and its queries use indexes"
        )
    coverage = Coverage(seen=tuple(one.server for one in servers if not one.error), skipped=skipped, tool=tool)
    rows = [row for row in found if not any(row["oid"] in one.used for one in servers)]
    so_far.update(row["oid"] for row in rows)
    youngest = min(servers, key=lambda one: one.days)
    # An index that was made yesterday has not been unused for a month, however long the counters have counted.
    old = _unused_then(asked)
    unused = [row for row in rows if asked.days == 0 or row["oid"] in old]
    if not skipped and rows and (youngest.days < asked.days or not unused):
        summary = (
            f"Not judged yet: {counted(len(rows), 'large index', 'large indexes')} served no query so far; "
            f"{asked.days:g} d of counting are asked for, and {youngest.server} has counted for {youngest.days:.1f} d."
        )
        return CheckResult(name, Verdict.WARNING, summary, coverage=coverage)
    size = sum(row["bytes"] for row in unused)
    measured = (Measurement("unused indexes", len(unused)), Measurement("their size", round(size / MB, 1), "MB"))
    if not unused:
        summary = f"Each index of at least {_MINIMUM_BYTES / MB:g} MB was used in {youngest.days:.0f} d."
        return CheckResult(name, Verdict.OK, summary, measured, coverage=coverage)
    named = f"{unused[0]['index_name']} and {len(unused) - 1} more" if len(unused) > 1 else unused[0]["index_name"]
    summary = (
        f"{named}, {size / MB:,.0f} MB in all, served no query in {youngest.days:.0f} d on "
        f"{counted(len(servers), 'server')}; each costs every write."
    )
    hint = "If no yearly job needs them either, drop them with the statements below; keep their definitions."
    return CheckResult(name, Verdict.WARNING, summary, measured, hint, coverage, details=_lines(unused))


def _unused_then(asked: Unused) -> set[int]:
    """Return what was unused in the last look that is as old as asked for."""
    limit = asked.now - timedelta(days=asked.days)
    past = [sample for sample in asked.known or () if sample.taken_at <= limit]
    return set(past[-1].facts["oids"]) if past else set()


def _superfluous(session: Session, tool: str) -> CheckResult:
    name, coverage = "care.duplicate_indexes", Coverage(seen=("all indexes",), tool=tool)
    found = session.rows(load_sql("care/duplicate_indexes"))
    size = sum(row["bytes"] for row in found)
    measured = (Measurement("superfluous indexes", len(found)), Measurement("their size", round(size / MB, 1), "MB"))
    if not found:
        return CheckResult(name, Verdict.OK, "No index makes another superfluous.", measured, coverage=coverage)
    first = found[0]
    word = "is the same as" if first["same"] else "is the beginning of"
    more = f" and {len(found) - 1} more are superfluous too" if len(found) > 1 else ""
    summary = f"{first['index_name']} {word} {first['better']}{more}; each costs every write."
    hint = "Drop them with the statements below."
    return CheckResult(name, Verdict.WARNING, summary, measured, hint, coverage, details=_lines(found))


def _foreign_keys(session: Session, tool: str) -> CheckResult:
    name, coverage = "care.foreign_keys", Coverage(seen=("all foreign keys",), tool=tool)
    found = session.rows(load_sql("care/foreign_keys"), {"minimum_rows": _MINIMUM_ROWS})
    measured = (Measurement("foreign keys without an index", len(found)),)
    if not found:
        summary = f"Each foreign key of a table with {_MINIMUM_ROWS:,} rows or more has an index."
        return CheckResult(name, Verdict.OK, summary, measured, coverage=coverage)
    first = found[0]
    more = f", and {counted(len(found) - 1, 'more key')}" if len(found) > 1 else ""
    summary = (
        f"{first['constraint_name']} has no index{more}: each row that is removed from {first['refers_to']} reads all "
        f"{first['rows_estimated']:,.0f} rows of {first['table_name']}."
    )
    lines = tuple(row["statement"] for row in found)
    hint = "Make them with the statements below, unless nothing is ever removed there."
    return CheckResult(name, Verdict.WARNING, summary, measured, hint, coverage, details=lines)


def _counted(server: str, row: Mapping[str, Any]) -> Counted:
    return Counted(server, frozenset(row["used"]), float(row["counted_days"] or 0))


def _elsewhere(asked: Unused, connection: str, oids: Sequence[int], here: Mapping[str, Any]) -> Counted:
    server = f"the standby {connection}"
    try:
        with asked.server(connection).session() as session:
            [row] = session.rows(load_sql("care/used_indexes"), {"oids": list(oids)})
    except TdevError as error:
        return Counted(server, error=str(error))
    if not row["in_recovery"]:
        return Counted(server, error="it is no standby; mend care.indexes.standbys")
    if row["database_name"] != here["database_name"]:
        why = f"it leads to {row['database_name']} and not to {here['database_name']}; mend that connection's schema"
        return Counted(server, error=why)
    return _counted(server, row)


def _lines(rows: Sequence[dict[str, object]]) -> tuple[str, ...]:
    return tuple(
        f"{row['statement']}  -- {int(str(row['bytes'])) / MB:,.1f} MB, on {row['table_name']}" for row in rows
    )
