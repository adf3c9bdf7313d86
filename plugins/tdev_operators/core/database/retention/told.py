"""What a run of retention has to say: one result a table, and the balance over all of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from tdev_operators.core.database.retention.partitions import Partition
from tdev_operators.core.database.retention.settings import RetentionRule
from tdev_operators.core.database.retention.statements import Statements, shown
from tdev_operators.core.database.wording import shown_name
from tdev_operators.core.errors import PermanentError, ProofFailedError
from tdev_operators.core.reporting.wording import counted, number
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict

CONSERVATION = "retention.conservation"
_MOST_LINES = 20
_FIGURES = ("rows", "kept", "archived", "discarded", "edited", "late")


def check_of(schema: str, table: str) -> str:
    """Return the name of a table's result: `retention.metrics`; with its schema where that is not `public`."""
    return f"retention.{shown_name(schema, table)}"


def told(receipt: Mapping[str, Any]) -> CheckResult:
    """Return the result of a table that was cleaned, from its receipt."""
    counts, title = receipt["counts"], f"{receipt['schema']}.{receipt['table']}"
    skipped = {f"{title}, {line.partition(':')[0]}": line.partition(": ")[2] or "held" for line in receipt["left"]}
    skipped |= {f"{title}, {line}": "nobody can count it any more" for line in receipt["unsure"]}
    about = f" ({number(counts['about'])} of them by the server's statistics)" if counts["about"] else ""
    summary = (
        f"Of {number(counts['rows'])} rows that were looked at, {number(counts['archived'])} were archived and "
        f"removed, {number(counts['discarded'])} removed{about}, {number(counts['kept'])} kept."
    )
    verdict = Verdict.OK
    if not receipt["finished"]:
        verdict, summary = Verdict.WARNING, f"{summary} Its time was over; the next run goes on."
    if receipt.get("again"):
        summary = f"{summary} This run had done it before; nothing was done twice."
    hint = ""
    if counts["edited"] or counts["late"] or counts["unarchived"]:
        hint = (
            f"{number(counts['edited'])} rows were edited after they had been archived, {number(counts['late'])} were "
            f"written late, {number(counts['unarchived'])} are due and in no archive: they stay until the next run."
        )
    if skipped:
        hint = f"End who holds it, and start the item again. {hint}".strip()
    return CheckResult(
        check_of(receipt["schema"], receipt["table"]),
        verdict,
        summary,
        measurements=(
            *(Measurement(name, counts[name], "rows") for name in _FIGURES),
            Measurement("without a time", receipt["without_time"], "rows"),
            Measurement("archive", sum(part["bytes"] for part in receipt["parts"]), "bytes"),
            Measurement("seconds", round(counts["seconds"], 3), "s"),
            Measurement("log written meanwhile", counts["wal_bytes"], "bytes"),
            Measurement("transactions", counts["batches"]),
            Measurement("partitions dropped", counts["partitions"]),
        ),
        hint=hint,
        coverage=Coverage(seen=(title,), skipped=skipped),
        details=_lines(receipt),
    )


def conservation(receipts: Sequence[Mapping[str, Any]]) -> CheckResult:
    """Return the balance over all tables: before = kept + archived + discarded."""
    off = [f"{one['schema']}.{one['table']}" for one in receipts if not one["balanced"]]
    total = {name: sum(one["counts"][name] for one in receipts) for name in _FIGURES}
    summary = (
        f"{number(total['rows'])} before = {number(total['kept'])} kept + {number(total['archived'])} archived + "
        f"{number(total['discarded'])} discarded."
    )
    return CheckResult(
        CONSERVATION,
        Verdict.CRITICAL if off else Verdict.OK,
        f"{summary} The balance of {', '.join(off)} does not hold." if off else summary,
        measurements=tuple(Measurement(name, total[name], "rows") for name in _FIGURES[:4]),
        hint="Compare the receipt with the table before anything else is removed." if off else "",
        coverage=Coverage(
            seen=tuple(f"{one['schema']}.{one['table']}" for one in receipts),
            skipped={
                f"{one['schema']}.{one['table']}: {line}": "nobody can count it any more"
                for one in receipts
                for line in one["unsure"]
            },
        ),
    )


def failed(rule: RetentionRule, error: PermanentError) -> CheckResult:
    """Return the result of a table that was refused (UNKNOWN), or whose proof failed (CRITICAL)."""
    proof = isinstance(error, ProofFailedError)
    return CheckResult(
        check_of(rule.in_schema, rule.table),
        Verdict.CRITICAL if proof else Verdict.UNKNOWN,
        str(error),
        hint="Nothing that was not proven is removed; what was removed before stands on the receipt in the archive."
        if proof
        else "Its rows stay until this is mended; what was removed before stands on the receipt in the archive.",
        coverage=Coverage(seen=(rule.name,)) if proof else Coverage(skipped={rule.name: "refused"}),
    )


def dry(
    rule: RetentionRule, statements: Statements, partitions: Sequence[Partition], due: Mapping[str, int]
) -> CheckResult:
    """Return what a run would do, with its statements."""
    table = statements.table
    lines = [f"-- {one.told}" for one in statements.classes]
    lines += [f"-- {effect} would run for each removed row" for effect in table.side_effects]
    if statements.archives:
        lines += ["-- to the archive:", shown(statements.open_archive(resumed=False))]
        lines += ["-- read back, and then, for each row group:", shown(statements.remove_archived())]
    for one in partitions:
        lines += [
            f"-- {one.title}, about {one.rows_about} rows, {one.bytes} bytes:",
            _text(one.detach()),
            _text(one.drop()),
        ]
    if statements.discards:
        lines += [f"-- by {'time' if table.by_time else 'key'} ({table.index}), range by range:"]
        lines += [shown(statements.bound()), shown(statements.remove_discarded())]
    return CheckResult(
        check_of(rule.in_schema, rule.table),
        Verdict.OK,
        f"Dry run: of {number(due['rows'])} rows, {number(due['archived'])} would be archived and removed, "
        f"{number(due['discarded'])} removed; {counted(len(partitions), 'whole partition')}. Nothing was done.",
        measurements=(
            Measurement("rows", due["rows"], "rows"),
            Measurement("archived", due["archived"], "rows"),
            Measurement("discarded", due["discarded"], "rows"),
            Measurement("without a time", due["without_time"], "rows"),
        ),
        coverage=Coverage(seen=(rule.name,)),
        details=tuple(lines),
    )


def _text(statement: Any) -> str:
    return str(statement.as_string()).replace("%%", "%")


def _lines(receipt: Mapping[str, Any]) -> tuple[str, ...]:
    parts = receipt["parts"]
    lines = [f"receipt: {receipt['place']}receipt.json", f"way: {receipt['way']}", f"held against {receipt['now']}"]
    lines += [
        f"part {one['number']}: {one['rows']} rows, {one['bytes']} bytes, digest {one['digest']}, "
        f"SHA-256 {one['sha256']}"
        for one in parts[:_MOST_LINES]
    ]
    if len(parts) > _MOST_LINES:
        lines.append(f"and {len(parts) - _MOST_LINES} more parts, which stand in archive.json")
    lines += [f"paused for {reason} {times} times" for reason, times in receipt["pauses"].items()]
    lines += [f"{effect} ran for each removed row" for effect in receipt["side_effects"]]
    return tuple(lines + receipt["remarks"] + receipt["left"] + receipt["unsure"])
