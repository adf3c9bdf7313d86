"""What a conversion has to say."""

from collections.abc import Sequence
from datetime import datetime

from tdev_operators.core.database.conversion.following import Followed, Proven
from tdev_operators.core.database.conversion.names import Names
from tdev_operators.core.database.conversion.plan import Plan
from tdev_operators.core.database.conversion.request import Action
from tdev_operators.core.database.conversion.state import State
from tdev_operators.core.errors import TdevError
from tdev_operators.core.reporting.wording import counted, moment, number, span
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict

CHECK = "retention.partitioned"
_WORDS: dict[Action, str] = {"convert": "converted", "undo": "taken back", "drop": "dropped"}


def dry(title: str, action: Action, lines: Sequence[str], refused: Sequence[TdevError]) -> CheckResult:
    """Say what would be done, and what would refuse it."""
    why = f" It would be refused: {refused[0]}" if refused else ""
    return CheckResult(
        CHECK,
        Verdict.WARNING if refused else Verdict.OK,
        f"Dry run: {title} would be {_WORDS[action]}. Nothing was touched.{why}",
        coverage=Coverage(seen=(title,)),
        details=(*lines, *(f"would be refused: {error}" for error in refused)),
    )


def converted(
    names: Names, plan: Plan, followed: Followed, proven: Proven, seconds: float, after_bytes: int, at: str
) -> CheckResult:
    """Say that the table is one of partitions now, and how that was."""
    return CheckResult(
        CHECK,
        Verdict.OK,
        f"{names.title} has {counted(plan.leaves, 'partition')} since {_moment(at)}: {number(proven.rows)} rows are "
        f"proven the same, and everybody waited {span(seconds)} for the exchange.",
        measurements=(
            *_of_work(followed, proven, seconds),
            Measurement("before", plan.bytes, "bytes"),
            Measurement("after", after_bytes, "bytes"),
            Measurement("partitions", plan.leaves),
        ),
        hint=f"{names.schema}.{names.old} stays for the way back (*Undo*), and changes are noted meanwhile; drop it "
        "when all is well.",
        coverage=Coverage(seen=(names.title,)),
        details=(
            (
                f"its key is ({', '.join(key.name for key in plan.making.keys)}) now: that "
                f"({', '.join(key.name for key in plan.table.key)}) alone is unique is no longer enforced by the server"
            ),
            *_pauses(followed),
        ),
    )


def converted_before(title: str, at: str) -> CheckResult:
    """Say that an earlier run has done it."""
    return CheckResult(
        CHECK,
        Verdict.OK,
        f"{title} was converted at {_moment(at)}; nothing was done.",
        coverage=Coverage(seen=(title,)),
    )


def waits_for_window(title: str, followed: Followed) -> CheckResult:
    """Say that the window has closed; what was done stays."""
    return CheckResult(
        CHECK,
        Verdict.WARNING,
        f"The maintenance window has closed; {number(followed.copied)} rows of {title} were copied by this run, and "
        "its changes are noted. Nothing is exchanged yet.",
        hint="Start it again in the next window, or with *Now*: it goes on. *Undo* clears it away.",
        coverage=Coverage(seen=(title,)),
        details=_pauses(followed),
    )


def undone(title: str, followed: Followed, proven: Proven, seconds: float) -> CheckResult:
    """Say that the former table is back."""
    return CheckResult(
        CHECK,
        Verdict.OK,
        f"{title} is the former table again, with {number(followed.notes)} changes that were made since; "
        f"{number(proven.rows)} rows are proven the same, and everybody waited {span(seconds)}.",
        measurements=_of_work(followed, proven, seconds),
        coverage=Coverage(seen=(title,)),
        details=_pauses(followed),
    )


def cleared(title: str) -> CheckResult:
    """Say that what was begun is gone."""
    return CheckResult(
        CHECK,
        Verdict.OK,
        f"What the conversion of {title} had made is gone; the table itself was not touched.",
        coverage=Coverage(seen=(title,)),
    )


def dropped(names: Names, state: State) -> CheckResult:
    """Say that there is no way back any more."""
    old = f"{names.schema}.{names.old}"
    return CheckResult(
        CHECK,
        Verdict.OK,
        f"{old} is dropped, {number(state.aside_bytes)} bytes; changes of {names.title} are noted no more.",
        measurements=(Measurement("dropped", state.aside_bytes, "bytes"),),
        coverage=Coverage(seen=(old,)),
    )


def _moment(at: str) -> str:
    return moment(datetime.fromisoformat(at))


def _of_work(followed: Followed, proven: Proven, seconds: float) -> tuple[Measurement, ...]:
    return (
        Measurement("proven the same", proven.rows, "rows"),
        Measurement("spans compared", proven.spans),
        Measurement("copied", followed.copied, "rows"),
        Measurement("changes followed", followed.notes),
        Measurement("locked", round(seconds, 3), "s"),
        Measurement("proof", round(proven.seconds, 3), "s"),
    )


def _pauses(followed: Followed) -> tuple[str, ...]:
    return tuple(f"paused for {reason} {times} times" for reason, times in followed.pauses.items())
