"""What conversions have left standing: it costs room and a note a change until somebody ends it."""

from datetime import datetime, timedelta

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.alone import APPLICATION
from tdev_operators.core.database.conversion.names import Names
from tdev_operators.core.database.conversion.state import State, read_state
from tdev_operators.core.database.ports import CarePorts
from tdev_operators.core.database.retention.settings import PartitionRule
from tdev_operators.core.errors import PermanentError
from tdev_operators.core.reporting.wording import moment, number
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict

CHECK = "retention.conversions"
_HINT = "Start `tdev_partition_metrics`: {}."


def left_over(ports: CarePorts, settings: Settings) -> CheckResult | None:
    """Return what stands beside the tables of `[retention.rules.partitions]`; None when there is nothing.

    WARNING: a former table stands longer than `keep_days`, or a conversion was begun and not ended.

    Raises:
        TransientError: the server is away.
    """
    lines: list[str] = []
    hints: list[str] = []
    seen: list[str] = []
    skipped: dict[str, str] = {}
    total = 0
    with ports.database.session(application_name=APPLICATION) as session:
        for rule in settings.retention.rules:
            if rule.partitions is None:
                continue
            names = Names.of(rule)
            try:
                state = read_state(session, names)
            except PermanentError as error:
                skipped[rule.name] = str(error)
                continue
            if state.phase == "none":
                continue
            notes = _bytes_of_notes(session, names)
            seen.append(names.title)
            total += state.aside_bytes + notes
            line, hint = _judged(names, state, rule.partitions, ports.clock())
            lines.append(f"{line}; {number(state.aside_bytes)} bytes, and {number(notes)} of notes")
            hints += [_HINT.format(hint)] if hint else []
    if not (seen or skipped):
        return None
    return CheckResult(
        CHECK,
        Verdict.WARNING if hints else Verdict.OK,
        "; ".join(lines) or "What stands beside the tables is not known.",
        measurements=(Measurement("beside the tables", total, "bytes"),),
        hint=" ".join(dict.fromkeys(hints)),
        coverage=Coverage(seen=tuple(seen), skipped=skipped),
    )


def _judged(names: Names, state: State, rule: PartitionRule, now: datetime) -> tuple[str, str]:
    """Return what stands there, and what is to be done about it by now, if anything."""
    if state.phase != "switched":
        return (
            f"a conversion of {names.title} was begun by {state.mark.run_id} and is not ended ({state.phase})",
            "*Convert* goes on, *Undo* clears it away",
        )
    until = datetime.fromisoformat(state.mark.switched_at) + timedelta(days=rule.keep_days)
    stands = f"{names.schema}.{names.old} stands since {moment(datetime.fromisoformat(state.mark.switched_at))}"
    if now < until:
        return f"{stands} and stays until {moment(until)}", ""
    return f"{stands} for a way back that nobody took", "*Drop the former table*, or *Undo*"


def _bytes_of_notes(session: Session, names: Names) -> int:
    [row] = session.rows(load_sql("conversion/relation"), {"schema": names.schema, "name": names.changes})
    return int(row["bytes"])
