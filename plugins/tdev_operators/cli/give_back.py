"""`tdev give-back`: archived rows come back, held against their digests. Needs the database and the bucket, no ledger.

tdev give-back retention-... --dry-run                    how many rows, and into which table
tdev give-back retention-... --approved-by PERSON         into a new table beside, <table>_given_back
tdev give-back retention-... --into-table --approved-by PERSON   where they were; the next cleanup finds them due again
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, TextIO

from tdev_operators.cli.notes import by, kept_apart, noted_where_possible, print_results, progress
from tdev_operators.core.items import ItemRef
from tdev_operators.core.recovery.approvals import refuse_unapproved
from tdev_operators.core.settings import Settings, load_settings
from tdev_operators.hooks.connections import EnvironmentConnections

_ITEM, _LEASE = "restore_metrics", "item:metric_cleanup"
_APPROVALS = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `tdev give-back` takes."""
    parser.epilog = "exit status: 0 they stand there as they were (or were only counted), 1 not all do, 4 an error"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("archive", help="the id of the run that archived them, as its report and its receipt say")
    add("--table", default="", metavar="SCHEMA.TABLE", help="which table's archive (default: the only one)")
    add("--into-table", action="store_true", help="where they were, and not into a new table beside")
    add("--by", default="", metavar="PERSON", help="who asks for it")
    add("--approved-by", action="append", default=[], metavar="PERSON", help="who approved")
    add("--dry-run", action="store_true", help="only say what would be done")
    add("--json", action="store_true", help="print JSON instead of lines")


def run(args: argparse.Namespace) -> int:
    """Carry out `tdev give-back`; returns the exit status."""
    return give_back_rows(args)


def give_back_rows(
    args: argparse.Namespace,
    *,
    environment: Mapping[str, str] = os.environ,
    settings: Settings | None = None,
    out: TextIO | None = None,
) -> int:
    """Give rows back; the connections come from the environment. Done again, it goes on.

    Raises:
        TdevError: it cannot be done; the sentence says why.
    """
    from tdev_operators.core.database.retention.restore import GiveBack, give_back  # noqa: PLC0415  not for the others
    from tdev_operators.hooks.database_assembly import care_ports  # noqa: PLC0415
    from tdev_operators.hooks.ledger import PostgresLedger  # noqa: PLC0415
    from tdev_operators.hooks.ledger_database import CONNECTION  # noqa: PLC0415

    settings, out = settings or load_settings(), out or sys.stdout
    connections, asked_by = EnvironmentConnections(environment), args.by or "shell"
    request = GiveBack(args.archive, args.table, into_table=args.into_table, dry_run=args.dry_run)
    if not request.dry_run:
        refuse_unapproved(settings.recovery, asked_by, args.approved_by, _APPROVALS)
    ref = ItemRef("shell", "shell", args.archive, _ITEM)

    def journal(event: str, facts: Mapping[str, Any]) -> None:
        # Nothing is removed, and the archive stays: it may be done while the ledger is dead.
        told = by(args.approved_by, asked_by, facts)
        noted_where_possible(lambda: PostgresLedger(connections.get(CONNECTION)).journal(ref, event, told))

    with ExitStack() as stack:
        ports = stack.enter_context(care_ports(settings, connections))
        check = kept_apart(
            stack,
            lambda: PostgresLedger(connections.get(CONNECTION)).lease(_LEASE, f"{args.archive} given back"),
            _LEASE,
            "cleanup",
            progress,
        )
        result = give_back(ports, settings, request, journal=journal, check=check)
    if args.json:
        print(json.dumps(result.to_json(), indent=2), file=out)
    else:
        print_results([result], out, details=False)
    return 1 if result.verdict.is_red else 0
