"""Indexes that are unused, superfluous or missing: reported with the statement that mends it, never applied."""

from collections.abc import Sequence
from dataclasses import dataclass

from tdev_operators.core.backup.ports import Session, SourceDatabase
from tdev_operators.core.database.care.indexes import MB
from tdev_operators.core.errors import TdevError
from tdev_operators.core.reporting.wording import counted
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict

_MINIMUM_BYTES = MB
_MINIMUM_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Counted:
    """What a server says of the indexes that nobody used elsewhere; `error` says why it could not be asked."""

    server: str
    used: frozenset[int] = frozenset()
    days: float = 0.0
    error: str = ""


def advise(session: Session, standbys: Sequence[SourceDatabase], unused_days: float, tool: str) -> list[CheckResult]:
    """Return what there is to say about unused, superfluous and missing indexes."""
    return [_unused(session, standbys, unused_days, tool), _superfluous(session, tool), _foreign_keys(session, tool)]


def _unused(session: Session, standbys: Sequence[SourceDatabase], unused_days: float, tool: str) -> CheckResult:
    name = "care.unused_indexes"
    found = session.rows(load_sql("care/unused_indexes"), {"minimum_bytes": _MINIMUM_BYTES})
    oids = [row["oid"] for row in found]
    servers = [_counted("the primary", session, oids), *(_elsewhere(standby, oids) for standby in standbys)]
    coverage = Coverage(
        seen=tuple(one.server for one in servers if not one.error),
        skipped={one.server: one.error for one in servers if one.error},
        tool=tool,
    )
    unused = [row for row in found if not any(row["oid"] in one.used for one in servers)]
    youngest = min(servers, key=lambda one: one.days)
    if not coverage.skipped and youngest.days < unused_days:
        summary = (
            f"Not judged: the counters of {youngest.server} have counted for {youngest.days:.1f} d, and "
            f"{unused_days:g} d are asked for (care.indexes.unused_days)."
        )
        return CheckResult(name, Verdict.OK, summary, coverage=coverage)
    size = sum(row["bytes"] for row in unused)
    measured = (Measurement("unused indexes", len(unused)), Measurement("their size", round(size / MB, 1), "MB"))
    if not unused:
        summary = f"Each index of at least {_MINIMUM_BYTES / MB:g} MB was used in {youngest.days:.0f} d."
        return CheckResult(name, Verdict.OK, summary, measured, coverage=coverage)
    summary = (
        f"{unused[0]['index_name']} and {len(unused) - 1} more" if len(unused) > 1 else str(unused[0]["index_name"])
    ) + (
        f", {size / MB:,.0f} MB in all, served no query in {youngest.days:.0f} d on {counted(len(servers), 'server')}; "
        "each costs every write."
    )
    hint = "If no yearly job needs them either, drop them with the statements below; keep their definitions."
    return CheckResult(name, Verdict.WARNING, summary, measured, hint, coverage, details=_lines(unused))


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


def _counted(server: str, session: Session, oids: Sequence[int]) -> Counted:
    [row] = session.rows(load_sql("care/used_indexes"), {"oids": list(oids)})
    return Counted(server, frozenset(row["used"]), float(row["counted_days"] or 0))


def _elsewhere(standby: SourceDatabase, oids: Sequence[int]) -> Counted:
    server = f"the standby {standby.name}"
    try:
        with standby.session() as session:
            return _counted(server, session, oids)
    except TdevError as error:
        return Counted(server, error=str(error))


def _lines(rows: Sequence[dict[str, object]]) -> tuple[str, ...]:
    return tuple(
        f"{row['statement']}  -- {int(str(row['bytes'])) / MB:,.1f} MB, on {row['table_name']}" for row in rows
    )
