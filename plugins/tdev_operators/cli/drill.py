"""`tdev drill`: rehearses a recovery in a clean room. Needs the bucket, its credentials and the key, nothing else.

tdev drill                    from the newest PROVEN set: restored, compared, used, timed, sabotaged, cleared away
tdev drill 2026-11-25         from the newest PROVEN set of a day
tdev drill --history          past drills: recovery time by phase, what would have been lost, who approved
"""

import argparse
import getpass
import json
import os
import sys
from collections.abc import Mapping
from typing import TextIO

from tdev_operators.cli.notes import progress, shell_run_id
from tdev_operators.core.ports import utc_now
from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.reporting.wording import moment, span
from tdev_operators.core.settings import Settings, load_settings
from tdev_operators.hooks.connections import EnvironmentConnections


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `tdev drill` takes."""
    parser.epilog = "exit status: 0 rehearsed and proven, 1 rehearsed and something is red, 4 an error"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("set", nargs="?", default="", help="a set id, its number, or a day (its newest); default: the newest PROVEN")
    add("--by", default="", metavar="PERSON", help="who holds it, for the evidence (default: the user)")
    add("--approved-by", default="", metavar="PERSON", help="who approved; without, it is no evidence for the month")
    add("--history", action="store_true", help="print the evidence of past drills, and hold none")
    add("--json", action="store_true", help="print JSON instead of lines")


def run(args: argparse.Namespace) -> int:
    """Carry out `tdev drill`; returns the exit status."""
    return drill(args)


def drill(
    args: argparse.Namespace,
    *,
    environment: Mapping[str, str] = os.environ,
    settings: Settings | None = None,
    out: TextIO | None = None,
) -> int:
    """Hold a drill; the connections come from the environment. Progress goes to standard error.

    Raises:
        TdevError: it cannot be held, or past evidence was tampered with; the sentence says why.
    """
    from tdev_operators.core.drill.conclude import conclude  # noqa: PLC0415  the other commands do without botocore
    from tdev_operators.core.drill.drill import KIND, Drill, DrillRequest  # noqa: PLC0415
    from tdev_operators.core.drill.evidence import EvidenceChain  # noqa: PLC0415
    from tdev_operators.core.errors import PermanentError  # noqa: PLC0415
    from tdev_operators.hooks.drill_assembly import drill_ports  # noqa: PLC0415

    settings, out = settings or load_settings(), out or sys.stdout

    with drill_ports(settings, EnvironmentConnections(environment)) as ports:
        if args.history:
            chain = EvidenceChain(ports.store, settings.buckets.backups, settings.system.name).read()
            return _history([one.evidence.model_dump(mode="json") for one in chain], out, as_json=args.json)
        name = shell_run_id(KIND)
        request = DrillRequest(name, args.by or getpass.getuser(), args.set, approved=bool(args.approved_by))
        held = Drill(ports, settings, request, progress=progress)
        started_at = utc_now()
        held.choose()  # before anything is written: there may be nothing to rehearse
        if args.approved_by:
            held.note_approvals([args.approved_by])
        held.intend()
        try:
            held.rehearse()
        except PermanentError as error:  # a finding; it stands in the journal
            progress(str(error))
        finally:
            held.clear()
        outcome, _ = conclude(held, settings, started_at, utc_now(), alone=False)
    if args.json:
        told = {"verdict": outcome.verdict.value, "results": [result.to_json() for result in outcome.results]}
        print(json.dumps(told, indent=2), file=out)
    else:
        for result in outcome.results:
            print(f"{result.verdict.value:8} {result.check:18} {one_line(result.summary)}", file=out)
    return 1 if outcome.verdict.is_red else 0


def _history(evidence: list[dict[str, object]], out: TextIO, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps(evidence, indent=2), file=out)
        return 0
    from tdev_operators.core.drill.evidence import Evidence  # noqa: PLC0415  the other commands do without it

    for one in map(Evidence.model_validate, evidence):
        lost = span((one.disaster_at - one.recovery_point).total_seconds()) if one.recovery_point else "?"
        phases = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in one.phases.items())
        people = f"by {one.asked_by or 'nobody'}, approved by {', '.join(one.approved_by) or 'nobody'}"
        line = f"{one.number:>4}  {moment(one.ended_at)}  {one.verdict:8}  recovered in {span(one.rto_seconds):>7}, "
        print(one_line(f"{line}{lost} lost, {one.database_bytes / 1e9:.2f} GB  {people}"), file=out)
        print(one_line(f"      {one.set_id}  {phases}"), file=out)
    if not evidence:
        print("No drill was ever held.", file=out)
    return 0
