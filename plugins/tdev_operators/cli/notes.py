"""What commands have in common: their runs' names, what they print, and what they keep and note in the ledger."""

import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any, TextIO

from tdev_operators.core.errors import BusyError, SetupMissingError, TransientError
from tdev_operators.core.leases import refusal_when_lost
from tdev_operators.core.ports import utc_now
from tdev_operators.core.recovery.request import recovery_id_of
from tdev_operators.core.reporting.escaping import one_line

if TYPE_CHECKING:
    from tdev_operators.core.ledger import Lease
    from tdev_operators.core.verdicts import CheckResult


def shell_run_id(kind: str) -> str:
    """Return a new id for a run that is started from a shell."""
    return recovery_id_of(kind, f"shell-{utc_now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}")


def progress(line: str) -> None:
    """Print a line of progress to standard error."""
    print(one_line(line), file=sys.stderr, flush=True)


def kept_apart(
    stack: ExitStack,
    lease: "Callable[[], AbstractContextManager[Lease]]",
    name: str,
    others: str,
    progress: Callable[[str], None],
) -> Callable[[], None]:
    """Hold a lease until the stack is left, where the ledger gives one; return what refuses to go on without it.

    `others` says for people whom it keeps away: they have to see to that themselves where the ledger is dead.
    """
    try:
        return refusal_when_lost(stack.enter_context(lease()), name)
    except BusyError:
        raise
    except (SetupMissingError, TransientError) as error:  # the ledger is dead, or empty
        progress(f"see that no other {others} runs: the ledger keeps none away ({error})")
        return lambda: None


def noted_where_possible(note: Callable[[], object]) -> None:
    """Note something in the ledger; while it is dead or empty, say so and go on."""
    try:
        note()
    except (SetupMissingError, TransientError) as error:
        progress(f"it could not be noted in the ledger ({error})")


def print_results(results: "Sequence[CheckResult]", out: TextIO, *, details: bool) -> None:
    """Print each result in a line, its hint below, and its details where they are asked for."""
    for one in results:
        print(f"{one.verdict.value:8} {one.check:24} {one_line(one.summary)}", file=out)
        lines = ([f"hint: {one.hint}"] if one.hint else []) + (list(one.details) if details else [])
        for line in lines:
            print("\n".join(f"    {one_line(part)}" for part in line.splitlines()), file=out)


def by(people: Sequence[str], asked_by: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a note with who asked and who approved."""
    return {**facts, "by": list(people), "asked_by": asked_by}
