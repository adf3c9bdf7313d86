"""What the look at the database's settings found, as results."""

from collections.abc import Sequence

from tdev_operators.core.database.tuning.reading import FileLine, Override, Seen
from tdev_operators.core.database.tuning.triangle import Row, State, bad_lines
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict

DATABASE, FILE_ERRORS = "tuning.database", "tuning.file_errors"
_OWNERS = {"rds": "Amazon RDS, by its parameter group", "patroni": "Patroni, by its dynamic configuration"}
_SHOWN = 4


def owner_of(managed: str, seen: Seen) -> str:
    """Return who owns the server's files: `rds`, `patroni`, or empty for their administrator."""
    return managed or ("rds" if seen.server.is_rds else "patroni" if seen.server.is_patroni else "")


def database_result(
    rows: Sequence[Row], seen: Seen, *, managed: str, objections: Sequence[str], memory_unknown: str
) -> CheckResult:
    """Say how far the server is from what is recommended.

    `objections` say which recommendation the host does not bear; `memory_unknown` why nobody knows what it bears.
    """
    owner = owner_of(managed, seen)
    skipped = {row.name: row.why for row in rows if row.state in (State.REFUSED, State.HIDDEN)}
    if seen.lines is None and not owner:
        skipped["what the files say"] = seen.unread
    if memory_unknown:
        skipped["the host's memory"] = memory_unknown
    differing = [row for row in rows if row.state not in (State.SAME, State.REFUSED, State.HIDDEN)]
    sentences = [_sentence(row) for row in differing[:_SHOWN]]
    if len(differing) > _SHOWN:
        sentences.append(f"And {len(differing) - _SHOWN} more.")
    sentences += [f"{said[:1].upper()}{said[1:]}" for said in objections]
    seen_names = tuple(row.name for row in rows if row.name not in skipped)
    verdict = Verdict.WARNING if differing or objections else Verdict.OK
    ok = f"All {len(seen_names)} recommended settings run." if seen_names else "No setting is recommended."
    return CheckResult(
        DATABASE,
        verdict,
        " ".join(sentences) or ok,
        (
            Measurement("settings that differ", len(differing), "", 1),
            Measurement("settings that wait for a restart", sum(row.state is State.RESTART for row in rows), "", 1),
        ),
        _hint(rows, seen, owner) if differing else "",
        Coverage(seen=seen_names, skipped=skipped, tool=f"PostgreSQL {seen.server.major}"),
        details=(*table(rows, seen), *_overrides(rows, seen.overrides)),
    )


def file_result(rows: Sequence[Row], seen: Seen, *, managed: str) -> CheckResult:
    """Say which lines of the server's files would keep it from starting; which others are void stands below."""
    owner = owner_of(managed, seen)
    tool = f"PostgreSQL {seen.server.major}"
    if seen.lines is None:
        hint, reason = "Grant it.", seen.unread
        if owner:
            reason = f"they belong to {_OWNERS[owner]}"
            hint = f"Switch {FILE_ERRORS} off in [[out_of_scope]], with this reason."
        summary = f"Nobody knows whether the server would start with its files: {reason}."
        return CheckResult(
            FILE_ERRORS, Verdict.UNKNOWN, summary, hint=hint, coverage=Coverage(skipped={"the files": reason})
        )
    bad = bad_lines(seen)
    files = tuple(dict.fromkeys(line.file.rpartition("/")[2] for line in seen.lines))
    void = [f"void: {_of(line)}" for row in rows for line in row.superseded]
    sentences = [f"{_of(line)}: {line.error}." for line in bad[:_SHOWN]]
    if len(bad) > _SHOWN:
        sentences.append(f"And {len(bad) - _SHOWN} more.")
    if bad:
        sentences.append("The server keeps what runs, and would not start again with this.")
    return CheckResult(
        FILE_ERRORS,
        Verdict.CRITICAL if bad else Verdict.OK,
        " ".join(sentences) or f"{len(seen.lines)} lines of {', '.join(files) or 'no file'} are read without a fault.",
        (Measurement("lines with a fault", len(bad), "", 1, 1),),
        "Mend them before the next restart (`ALTER SYSTEM RESET` removes one of postgresql.auto.conf), and look again: "
        "while one has a fault the server may not look at the others."
        if bad
        else "",
        Coverage(seen=files or ("no file",), tool=tool),
        details=(*(f"fault: {_of(line)}: {line.error}" for line in bad), *void),
    )


def table(rows: Sequence[Row], seen: Seen) -> list[str]:
    """Return the triangle as lines of one width a column."""
    head = ("setting", "recommended", "in the file", "running", "")
    unread = seen.lines is None
    body = [
        (
            row.name,
            row.recommended if row.state is State.REFUSED else row.shown(row.recommended),
            "unknown" if unread else f"{row.shown(row.filed)}{f' ({row.line.place})' if row.line else ''}",
            row.shown(row.running) or "-",
            row.state.value,
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in (head, *body)) for column in range(4)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, (*widths, 0), strict=True)).rstrip()
        for line in (head, *body)
    ]


def _sentence(row: Row) -> str:
    wanted, runs = row.shown(row.recommended), row.shown(row.running)
    match row.state:
        case State.RELOAD:
            return f"{row.name} is {wanted} in the file and {runs} runs until the files are read again."
        case State.RESTART:
            return f"{row.name} is {wanted} in the file and {runs} runs until the server is restarted."
        case State.FADES:
            return f"{row.name} = {runs} runs as recommended, but the files say {row.shown(row.filed)}."
        case State.OVERRIDDEN:
            return f"{row.name} is {runs} for us, by ALTER ROLE or ALTER DATABASE, and not the recommended {wanted}."
        case State.FIXED:
            return f"{row.name} is {runs} by the server's command line, and not the recommended {wanted}."
        case _:
            return f"{row.name} is {runs} and not the recommended {wanted}."


def _hint(rows: Sequence[Row], seen: Seen, owner: str) -> str:
    if owner:
        return f"Change it with {_OWNERS[owner]}; `tdev_apply_tuning` prints how."
    if not seen.server.allows_alter_system:
        return "allow_alter_system is off: change it where the files come from; `tdev_apply_tuning` prints what."
    restart = any(row.needs_change and row.setting and row.setting.needs_restart for row in rows)
    later = " What needs a restart waits for the maintenance window and an approval." if restart else ""
    return f"Start `tdev_apply_tuning`: its dry run prints the statements.{later}"


def _of(line: FileLine) -> str:
    return f"{line.place}: {line.name} = {line.shown}" if line.name else line.place


def _overrides(rows: Sequence[Row], overrides: Sequence[Override]) -> list[str]:
    names = {row.name.lower() for row in rows}
    return [
        f"only for {one.role or 'everybody'} in {one.database or 'every database'}: {one.name} = {one.setting}"
        f" (away with: {one.statement})"
        for one in overrides
        if one.name.lower() in names
    ]
