"""`tdev tuning`: what differs from what is recommended, applied or taken back. Needs database and bucket, no ledger.

tdev tuning                                    a dry run: each statement, its way back, and what would refuse it
tdev tuning --run                              what a reload makes count
tdev tuning --run --kinds reload,application   the application's own settings too, over its API
tdev tuning --run --kinds restart --by lead --approved-by deputy    in the maintenance window, or --now
tdev tuning --undo ID                          what taking a former run back would do; with --run it is done
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TextIO

from tdev_operators.cli.notes import kept_apart, noted_where_possible, print_results, progress, shell_run_id
from tdev_operators.core.errors import InputError, PermanentError, TransientError
from tdev_operators.core.items import ItemRef
from tdev_operators.core.recovery.approvals import refuse_unapproved
from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.settings import Settings, load_settings
from tdev_operators.hooks.connections import EnvironmentConnections

if TYPE_CHECKING:
    from tdev_operators.core.database.tuning.apply import Tuning
    from tdev_operators.core.database.tuning.plan import TuningRequest
    from tdev_operators.core.ledger import ItemStore

_ITEM = "apply_tuning"
_APPROVALS = 1
_KINDS = ("reload", "restart", "application")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `tdev tuning` takes."""
    parser.epilog = "exit status: 0 in force and proven (or only said), 1 taken back or half-done, 4 an error"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--run", action="store_true", help="change it; without it nothing is touched")
    add(
        "--kinds",
        default="",
        metavar="A,B",
        help=f"of {', '.join(_KINDS)} (default: reload; a dry run tells of all; for --undo: those of the former run)",
    )
    add("--settings", default="", metavar="A,B", help="only these settings, by name (default: all that differ)")
    add("--undo", default="", metavar="ID", help="take a former run back")
    add("--now", action="store_true", help="restart outside the maintenance window")
    add("--by", default="", metavar="PERSON", help="who asks for it")
    add("--approved-by", action="append", default=[], metavar="PERSON", help="who approved; a restart needs one")
    add("--go-on", default="", metavar="ID", help="with --run: go on with a run that broke off")
    add("--json", action="store_true", help="print JSON instead of lines")


def run(args: argparse.Namespace) -> int:
    """Carry out `tdev tuning`; returns the exit status."""
    return tuning(args)


def tuning(
    args: argparse.Namespace,
    *,
    environment: Mapping[str, str] = os.environ,
    settings: Settings | None = None,
    out: TextIO | None = None,
) -> int:
    """Look, apply or take back; the connections come from the environment. Progress goes to standard error.

    Raises:
        TdevError: it cannot be done, or broke off; the sentence says why.
    """
    from tdev_operators.core.database.tuning.apply import Tuning  # noqa: PLC0415  the other commands do without botocore
    from tdev_operators.core.database.tuning.outcome import dry_result, result_of  # noqa: PLC0415
    from tdev_operators.core.database.tuning.sampling import keep_before  # noqa: PLC0415
    from tdev_operators.hooks.ledger import PostgresLedger  # noqa: PLC0415
    from tdev_operators.hooks.ledger_database import CONNECTION  # noqa: PLC0415
    from tdev_operators.hooks.tuning_assembly import tuning_ports  # noqa: PLC0415

    settings, out = settings or load_settings(), out or sys.stdout
    connections, request = EnvironmentConnections(environment), _request(args)
    ref = ItemRef("shell", "shell", request.tuning_id, _ITEM)

    def in_ledger(work: "Callable[[ItemStore], object]") -> None:
        # The run's own journal is in the bucket: a dead ledger keeps nobody from the way back.
        noted_where_possible(lambda: work(PostgresLedger(connections.get(CONNECTION))))

    def note(event: str, facts: Mapping[str, Any]) -> None:
        in_ledger(lambda ledger: ledger.journal(ref, event, {**facts, "asked_by": request.requested_by}))

    with ExitStack() as stack:
        ports = stack.enter_context(tuning_ports(settings, connections))
        check: Callable[[], None] = lambda: None  # noqa: E731  nobody is kept away from a look
        if not request.dry_run:
            name = f"recovery:{settings.system.name}"
            check = kept_apart(
                stack,
                lambda: PostgresLedger(connections.get(CONNECTION)).lease(name, request.tuning_id),
                name,
                "restore or failover",
                progress,
            )
            progress(f"run {request.tuning_id}")
        work = Tuning(ports, settings, request, note=note, progress=progress, check=check)
        if request.dry_run:
            result = dry_result(work.look())
        else:
            sample = lambda: in_ledger(lambda ledger: keep_before(ledger, ports, settings, work))  # noqa: E731
            _carry_out(work, settings, args.approved_by, sample)
            result = result_of(work.journal, request.requested_by)
    if args.json:
        run_id = None if request.dry_run else request.tuning_id
        print(json.dumps({"run": run_id, "result": result.to_json()}, indent=2), file=out)
    else:
        print_results([result], out, details=True)
    return 1 if result.verdict.is_red else 0


def _carry_out(work: "Tuning", settings: Settings, approved_by: list[str], sample: Callable[[], None]) -> None:
    """Do it as far as it goes; what could not be proven is taken back, and stands in the run's journal."""
    for line in work.look():
        progress(line)
    if work.plan.of("restart"):  # before the first setting is touched
        refuse_unapproved(settings.recovery, work.request.requested_by, approved_by, _APPROVALS)
    if approved_by:
        work.note_approvals(approved_by)
    try:
        work.apply(sample)
        work.restart()
    except PermanentError as error:
        progress(str(error))
    except TransientError:
        progress(f"it broke off; go on with --run --go-on {work.request.tuning_id}")
        raise


def _request(args: argparse.Namespace) -> "TuningRequest":
    from tdev_operators.core.database.tuning.apply import KIND  # noqa: PLC0415  not for the other commands
    from tdev_operators.core.database.tuning.plan import TuningRequest  # noqa: PLC0415

    kinds = _words(args.kinds)
    if unknown := [kind for kind in kinds if kind not in _KINDS]:
        raise InputError(f"There is no kind {one_line(unknown[0])!r}; --kinds takes {', '.join(_KINDS)}.")
    if args.go_on and not args.run:
        raise InputError("A dry run has nothing to go on with; add --run.")
    asked = kinds or (_KINDS[:1] if args.run else _KINDS)
    return TuningRequest(
        tuning_id=args.go_on or shell_run_id(KIND),
        requested_by=args.by or "shell",
        names=_words(args.settings),
        reload="reload" in asked,
        restart="restart" in asked,
        application="application" in asked,
        undo=args.undo,
        now=args.now,
        dry_run=not args.run,
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())
