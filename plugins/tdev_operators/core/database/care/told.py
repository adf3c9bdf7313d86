"""What the care of tables and indexes found and did, as results."""

from collections.abc import Iterable, Mapping, Sequence

from tdev_operators.core.database.care.horizon import Holder
from tdev_operators.core.database.care.indexes import MB
from tdev_operators.core.database.care.leftovers import Swept
from tdev_operators.core.database.care.needs import Work
from tdev_operators.core.database.care.rebuild import IndexDone, IndexFate
from tdev_operators.core.database.care.tables import Done, Fate, Survey
from tdev_operators.core.health.findings import some
from tdev_operators.core.reporting.wording import counted
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict, worst

_LINES = 200

_TABLE_BADNESS = {
    Fate.DONE: Verdict.OK,
    Fate.GONE: Verdict.OK,
    Fate.LOCKED: Verdict.WARNING,
    Fate.NO_TIME: Verdict.WARNING,
    Fate.TOO_LONG: Verdict.WARNING,
    Fate.OLD: Verdict.CRITICAL,
    Fate.REFUSED: Verdict.UNKNOWN,
    Fate.FAILED: Verdict.CRITICAL,
}
_INDEX_BADNESS = {
    IndexFate.REBUILT: Verdict.OK,
    IndexFate.DENSE: Verdict.OK,
    IndexFate.GONE: Verdict.OK,
    IndexFate.ESTIMATED: Verdict.WARNING,
    IndexFate.POSTPONED: Verdict.WARNING,
    IndexFate.REFUSED: Verdict.UNKNOWN,
    IndexFate.FAILED: Verdict.CRITICAL,
    IndexFate.DAMAGED: Verdict.CRITICAL,
    IndexFate.DISK_FULL: Verdict.CRITICAL,
}


def tables_result(
    survey: Survey, done: Sequence[Done], holders: Sequence[Holder], gaps: Mapping[str, str], tool: str
) -> CheckResult:
    """Return what became of the tables that needed care; `holders` are those of the horizon, the worst first.

    `gaps` say what the survey cannot have seen, and why.
    """
    ended = {fate: [one for one in done if one.fate is fate] for fate in Fate}
    refused = {one.work.table.name: one.why for one in ended[Fate.REFUSED]}
    missing = dict.fromkeys(survey.missing, "there is no such table that can be analyzed (care.always_analyze)")
    unmoved = [
        one for one in ended[Fate.DONE] if one.work.table.is_dead and one.dead_left >= one.work.table.dead / 2 > 0
    ]
    coverage = Coverage(seen=("all tables",), skipped={**gaps, **missing, **refused}, tool=tool)
    told = [f"{len(ended[Fate.DONE])} of {survey.looked_at} tables needed care and got it."]
    hints = []
    if bad := [*ended[Fate.FAILED], *ended[Fate.LOCKED], *ended[Fate.TOO_LONG], *ended[Fate.NO_TIME]]:
        told.insert(0, f"{some([one.work.table.name for one in bad])} got none: {bad[0].why.rstrip('.')}.")
        hints.append("What was left out is first the next time.")
    if ended[Fate.TOO_LONG]:
        hints.append("What was cancelled does not fit into care.minutes: raise it, or VACUUM by hand.")
    if old := ended[Fate.OLD]:
        told.insert(0, f"{some([one.work.table.name for one in old])} stays as old as before: {old[0].why}.")
        hints.append("End what care.horizon names before writes stop for wraparound.")
    if unmoved:
        who = f"; {holders[0].text}" if holders else ""
        told.insert(
            0, f"VACUUM could not remove the dead rows of {some([one.work.table.name for one in unmoved])}{who}."
        )
        hints.append("End what care.horizon names; then VACUUM again.")
    if refused:
        owners = sorted({one.work.table.owner for one in ended[Fate.REFUSED]})
        hints.append(f"GRANT {', '.join(owners)} TO {survey.role}; (PostgreSQL 17 and later: or GRANT pg_maintain).")
    if missing:
        hints.append("Mend care.always_analyze.")
    verdict = worst([Verdict.OK, *(_TABLE_BADNESS[one.fate] for one in done)])
    if unmoved:
        verdict = worst([verdict, Verdict.WARNING])
    removed = sum(max(0.0, one.work.table.dead - one.dead_left) for one in ended[Fate.DONE] if one.work.vacuum)
    measured = (
        Measurement("tables looked at", survey.looked_at),
        Measurement("vacuumed", sum(one.work.vacuum for one in ended[Fate.DONE])),
        Measurement("analyzed", sum(one.work.analyze for one in ended[Fate.DONE])),
        Measurement("dead rows removed", removed),
        Measurement("left out", len(done) - sum(len(ended[fate]) for fate in (Fate.DONE, Fate.OLD, Fate.GONE)), "", 1),
    )
    lines = _lines(one.line for one in done)
    return CheckResult("care.tables", verdict, " ".join(told), measured, " ".join(hints), coverage, details=lines)


def indexes_result(
    looked_at: int, done: Sequence[IndexDone], role: str, tool: str, *, disk_watched: bool
) -> CheckResult:
    """Return what became of the indexes that were suspected of being thin."""
    ended = {fate: [one for one in done if one.fate is fate] for fate in IndexFate}
    refused = {one.index.name: one.why for one in ended[IndexFate.REFUSED]}
    coverage = Coverage(seen=("all large B-tree indexes",), skipped=refused, tool=tool)
    rebuilt = ended[IndexFate.REBUILT]
    freed = sum(one.index.bytes - (one.new_bytes or 0) for one in rebuilt)
    measured_ones = sum(one.density is not None for one in done)
    done_well = (
        f"{counted(looked_at, 'large index', 'large indexes')} estimated, {measured_ones} measured, "
        f"{len(rebuilt)} rebuilt "
        f"({freed / MB:,.1f} MB freed)."
    )
    told = [done_well]
    hints = []
    for fate in (IndexFate.ESTIMATED, IndexFate.POSTPONED, IndexFate.FAILED, IndexFate.DISK_FULL, IndexFate.DAMAGED):
        if found := ended[fate]:
            told.insert(
                0, f"{some([one.index.name for one in found])} {fate.value}: {found[0].why}.".replace("..", ".")
            )
    if ended[IndexFate.ESTIMATED]:
        hints.append("Only what was measured is rebuilt: " + ended[IndexFate.ESTIMATED][0].why + ".")
    if ended[IndexFate.DAMAGED]:
        hints.append("The new index is damaged, so memory or disk may be: look at the server, then REINDEX again.")
    if refused:
        owners = sorted({one.index.owner for one in ended[IndexFate.REFUSED]})
        hints.append(f"GRANT {', '.join(owners)} TO {role};")
    if blind := [one for one in rebuilt if not one.checked]:
        told.append(f"Not looked through afterwards: {some([one.index.name for one in blind])} ({blind[0].why}).")
    if not disk_watched and rebuilt:
        told.append("Nobody watched the disk (recovery.database_host names no host).")
    measured = (
        Measurement("large indexes", looked_at),
        Measurement("rebuilt", len(rebuilt)),
        Measurement("freed", round(freed / MB, 1), "MB"),
        Measurement("left out", sum(one.fate is IndexFate.POSTPONED for one in done), "", 1),
    )
    verdict = worst([Verdict.OK, *(_INDEX_BADNESS[one.fate] for one in done)])
    lines = _lines(one.line for one in done)
    return CheckResult("care.indexes", verdict, " ".join(told), measured, " ".join(hints), coverage, details=lines)


def leftovers_result(swept: Swept, tool: str) -> CheckResult:
    """Return which invalid indexes were dropped, had to stay, or are nobody's leftover."""
    measured = (
        Measurement("leftovers dropped", len(swept.dropped)),
        Measurement("left there", len(swept.kept) + len(swept.others), "", 1),
    )
    coverage = Coverage(seen=("all indexes",), tool=tool)
    lines = _lines(
        [
            *(f"dropped {one.name} ({one.bytes / MB:,.1f} MB): {one.definition}" for one in swept.dropped),
            *(f"stays {one.name}: {one.kept}" for one in swept.kept),
            *(f"invalid {one.name}: no leftover of a rebuild" for one in swept.others),
        ]
    )
    if swept.kept or swept.others:
        stay = [*swept.kept, *swept.others]
        why = swept.kept[0].kept if swept.kept else "it is no leftover of a rebuild, or nothing proves that it is one"
        summary = f"{some([one.name for one in stay])} is not valid and stays: {why}."
        hint = f"When nobody builds it: {stay[0].text} or REINDEX INDEX CONCURRENTLY it."
        return CheckResult("care.leftovers", Verdict.WARNING, summary, measured, hint, coverage, details=lines)
    size = sum(one.bytes for one in swept.dropped) / MB
    count = counted(len(swept.dropped), "invalid index", "invalid indexes")
    were = "was" if len(swept.dropped) == 1 else "were"
    summary = f"{count} of dead rebuilds {were} dropped ({size:,.1f} MB)." if swept.dropped else "No index is invalid."
    return CheckResult("care.leftovers", Verdict.OK, summary, measured, coverage=coverage, details=lines)


def dry_run_result(works: Sequence[Work], swept: Swept, indexes: Sequence[IndexDone], tool: str) -> CheckResult:
    """Return every statement that would be run, in its order; `swept.kept` are the leftovers that would be dropped."""
    thin = [one for one in indexes if one.fate is IndexFate.POSTPONED]
    lines = [
        *(one.text for one in swept.kept if one.is_leftover),
        *(f"{work.text}  -- {', '.join(work.reasons)}" for work in works),
        *(f"{one.index.text}  -- {one.line.partition(';')[0]}" for one in thin),
    ]
    summary = f"Dry run: {counted(len(lines), 'statement')} would be run, and none was."
    coverage = Coverage(seen=("all tables", "all indexes"), tool=tool)
    return CheckResult("care.dry_run", Verdict.OK, summary, coverage=coverage, details=_lines(lines))


def _lines(lines: Iterable[str]) -> tuple[str, ...]:
    found = list(lines)
    more = (f"and {len(found) - _LINES} more",) if len(found) > _LINES else ()
    return (*found[:_LINES], *more)
