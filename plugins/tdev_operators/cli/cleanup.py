"""`tdev cleanup`: says which old rows would go, or archives and removes them. Needs database, bucket and ledger.

tdev cleanup                 a dry run: what would go in every table of [[retention.rules]], and every statement
tdev cleanup --run           archive, prove, remove; the receipt of each table is printed
tdev cleanup --run --go-on ID    go on with a run that broke off, under its own receipt
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TextIO

from tdev_operators.cli.notes import print_results, progress, shell_run_id
from tdev_operators.core.errors import InputError
from tdev_operators.core.items import ItemRef
from tdev_operators.core.leases import refusal_when_lost
from tdev_operators.core.settings import Settings, load_settings
from tdev_operators.hooks.connections import EnvironmentConnections

_KIND, _ITEM = "retention", "metric_cleanup"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `tdev cleanup` takes."""
    parser.epilog = "exit status: 0 done (or only said), 1 a table was refused or is not done, 4 an error"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--run", action="store_true", help="archive and remove; without it nothing is touched")
    add("--go-on", default="", metavar="ID", help="with --run: go on with a run that broke off")
    add("--unpaced", action="store_true", help="give way to nobody, for nights on which nobody works")
    add("--by", default="", metavar="PERSON", help="who asks for it, for the journal")
    add("--json", action="store_true", help="print JSON instead of lines")


def run(args: argparse.Namespace) -> int:
    """Carry out `tdev cleanup`; returns the exit status."""
    return cleanup(args)


def cleanup(
    args: argparse.Namespace,
    *,
    environment: Mapping[str, str] = os.environ,
    settings: Settings | None = None,
    out: TextIO | None = None,
) -> int:
    """Clean, or say what would go; the connections come from the environment. Progress goes to standard error.

    What is removed is noted in the ledger before: without the ledger nothing is.

    Raises:
        TdevError: it cannot be done; the sentence says why.
    """
    from tdev_operators.core.database.retention.run import Request, clean  # noqa: PLC0415
    from tdev_operators.core.scope import in_scope  # noqa: PLC0415  the other commands do without botocore
    from tdev_operators.hooks.database_assembly import care_ports  # noqa: PLC0415
    from tdev_operators.hooks.ledger import PostgresLedger  # noqa: PLC0415
    from tdev_operators.hooks.ledger_database import CONNECTION  # noqa: PLC0415

    if args.go_on and not args.run:
        raise InputError("A dry run has nothing to go on with; add --run.")
    settings, out = settings or load_settings(), out or sys.stdout
    connections = EnvironmentConnections(environment)
    name = args.go_on or shell_run_id(_KIND)
    request = Request(name, dry_run=not args.run, unpaced=args.unpaced)
    with ExitStack() as stack:
        ports = stack.enter_context(care_ports(settings, connections))
        if request.dry_run:
            found = clean(ports, settings, request, journal=lambda *_: None, progress=progress)
        else:
            progress(f"run {name}")
            ledger, ref = PostgresLedger(connections.get(CONNECTION)), ItemRef("shell", "shell", name, _ITEM)
            lease = stack.enter_context(ledger.lease(f"item:{_ITEM}", name))
            found = clean(
                ports,
                settings,
                request,
                journal=lambda event, facts: ledger.journal(ref, event, {**facts, "asked_by": args.by or "shell"}),
                progress=progress,
                check=refusal_when_lost(lease, _ITEM),
            )
    results, _ = in_scope(found, settings)
    if args.json:
        told = {"run": None if request.dry_run else name, "results": [one.to_json() for one in results]}
        print(json.dumps(told, indent=2), file=out)
    else:
        print_results(results, out, details=True)
    return 1 if any(one.verdict.is_red for one in results) else 0
