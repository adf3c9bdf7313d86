"""`tdev failover`: lets the other side serve. Needs both sides and the bucket of the journal; no Airflow, no ledger.

tdev failover second --rehearse                     look at every step on both sides, and take none
tdev failover second --by lead --approved-by deputy
tdev failover second --unplanned --by lead --approved-by deputy     the old side is down: what was not copied is lost
tdev failover --rejoin first --by lead --approved-by deputy         the old side becomes a standby: the way back
tdev failover --go-on ID                            go on with one that stopped; --settle ID takes it back, if it can be
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

from tdev_operators.cli.notes import progress, shell_run_id
from tdev_operators.core.errors import InputError
from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.settings import Settings, load_settings
from tdev_operators.hooks.connections import EnvironmentConnections

if TYPE_CHECKING:
    from tdev_operators.core.failover.failover import Failover
    from tdev_operators.core.failover.ports import FailoverPorts
    from tdev_operators.core.failover.request import FailoverRequest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `tdev failover` takes."""
    parser.epilog = "exit status: 0 the other side serves (or nothing was asked for), 1 it does not, 4 an error"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("to", nargs="?", default="", help="the side that shall serve")
    add("--by", default="", metavar="PERSON", help="who asks for it")
    add("--approved-by", action="append", default=[], metavar="PERSON", help="who approved")
    add("--unplanned", action="store_true", help="the old side is down or half-dead; what was not copied is lost")
    add("--attested-off", action="store_true", help="I have seen the old side off with my own eyes")
    add("--slots", action="store_true", help="accept that logical replication slots start over")
    add("--rehearse", action="store_true", help="look at every step, and take none")
    add("--go-on", default="", metavar="ID", help="go on with a failover that stopped")
    add("--settle", default="", metavar="ID", help="take a failover back that stopped before its promotion")
    add(
        "--give-up", default="", metavar="ID", help="say that a failover is over that can neither end nor be taken back"
    )
    add("--rejoin", default="", metavar="SIDE", help="let a side that is off follow the other one again")
    add("--json", action="store_true", help="print JSON instead of lines")


def run(args: argparse.Namespace) -> int:
    """Carry out `tdev failover`; returns the exit status."""
    return rejoin(args) if args.rejoin else failover(args)


def failover(
    args: argparse.Namespace,
    *,
    environment: Mapping[str, str] = os.environ,
    settings: Settings | None = None,
    out: TextIO | None = None,
) -> int:
    """Fail over; the connections come from the environment. Progress goes to standard error.

    Raises:
        TdevError: it cannot be done, or stopped half-way; the sentence says why, and progress how each part stands.
    """
    from tdev_operators.core.failover.failover import Failover  # noqa: PLC0415  the other commands do without botocore
    from tdev_operators.core.failover.told import results_of  # noqa: PLC0415
    from tdev_operators.hooks.failover_assembly import failover_ports  # noqa: PLC0415

    settings, out = settings or load_settings(), out or sys.stdout

    with failover_ports(settings, EnvironmentConnections(environment)) as ports:
        request = _request(args, ports, settings)
        work = Failover(ports, settings, request, progress=progress)
        progress(f"failover {request.recovery_id}, journal {work.journal.place}")
        if args.give_up:
            settled = work.give_up(args.approved_by)
        elif args.settle:
            settled = work.settle()
        else:
            settled = _carry_out(work, args.approved_by, begun_before=bool(args.go_on))
        results = results_of(work.journal, settled)
    if args.json:
        told = {"recovery": request.recovery_id, "settled": settled, "results": [one.to_json() for one in results]}
        print(json.dumps(told, indent=2), file=out)
    else:
        for one in results:
            print(f"{one.verdict.value:8} {one.check:18} {one_line(one.summary)}", file=out)
        print(one_line(settled), file=out)
    return 1 if any(one.verdict.is_red for one in results) else 0


def rejoin(
    args: argparse.Namespace,
    *,
    environment: Mapping[str, str] = os.environ,
    settings: Settings | None = None,
    out: TextIO | None = None,
) -> int:
    """Let a side follow the other one; the connections come from the environment.

    Raises:
        TdevError: it cannot be done; the sentence says why.
    """
    from tdev_operators.core.failover.rejoin import KIND, Rejoin  # noqa: PLC0415  the other commands do without botocore
    from tdev_operators.hooks.failover_assembly import failover_ports  # noqa: PLC0415

    settings = settings or load_settings()

    name = shell_run_id(KIND)
    with failover_ports(settings, EnvironmentConnections(environment)) as ports:
        work = Rejoin(ports, settings, name, args.rejoin, progress=progress)
        print(one_line(work.carry_out(args.approved_by, args.by or "shell")), file=out or sys.stdout)
    return 0


def _carry_out(work: "Failover", approved_by: list[str], *, begun_before: bool) -> str:
    from tdev_operators.core.failover.failover import APPROVED, LOOKED  # noqa: PLC0415  not for the other commands

    if not (begun_before and work.journal.done(LOOKED)):
        work.look()
    if work.request.rehearse:
        return "This was a rehearsal: nothing was touched."
    if work.journal.done(APPROVED) is None:
        work.note_approvals(approved_by)
    try:
        for step in (work.fence, work.sync, work.promote, work.switch_names, work.start, work.verify):
            step()
    except BaseException:
        print(one_line(work.settle()), file=sys.stderr, flush=True)
        raise
    return work.settle()


def _request(args: argparse.Namespace, ports: "FailoverPorts", settings: Settings) -> "FailoverRequest":
    from tdev_operators.core.failover.failover import ASKED, KIND  # noqa: PLC0415  not for the other commands
    from tdev_operators.core.failover.request import FailoverRequest  # noqa: PLC0415
    from tdev_operators.core.recovery.journal import Journal  # noqa: PLC0415

    if known := args.go_on or args.settle or args.give_up:
        asked = Journal(ports.store, settings.buckets.backups, settings.system.name, known).done(ASKED)
        if asked is None:
            raise InputError(f"There is no failover {known[:80]!r}; its id stands in the report and in the journal.")
        return FailoverRequest.of_facts(asked)
    return FailoverRequest(
        recovery_id=shell_run_id(KIND),
        to=args.to,
        requested_by=args.by or "shell",
        planned=not args.unplanned,
        attested_off=args.attested_off,
        slots=args.slots,
        rehearse=args.rehearse,
    )
