"""`tdev logs`: read what was logged since the last look, and tell the last hours. Needs hosts and ledger.

tdev logs             one line a pattern
tdev logs --details   with levels, components, the first and the last line of each
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from typing import TextIO

from tdev_operators.cli.notes import print_results, progress
from tdev_operators.core.settings import Settings, load_settings
from tdev_operators.hooks.connections import EnvironmentConnections


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `tdev logs` takes."""
    parser.epilog = "exit status: 0 nothing is red, 1 something is, 4 an error"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--details", action="store_true", help="levels, components and sample lines, too")
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")


def run(args: argparse.Namespace) -> int:
    """Carry out `tdev logs`; returns the exit status."""
    return logs(args)


def logs(
    args: argparse.Namespace,
    *,
    environment: Mapping[str, str] = os.environ,
    settings: Settings | None = None,
    out: TextIO | None = None,
) -> int:
    """Analyse the logs; the connections come from the environment. What was counted is kept for the next look.

    Raises:
        TdevError: settings or connections cannot be read.
    """
    from tdev_operators.core.logs.check_names import wanted_of  # noqa: PLC0415  the other commands do without numpy
    from tdev_operators.core.logs.run import analyse_logs  # noqa: PLC0415
    from tdev_operators.hooks.ledger import PostgresLedger  # noqa: PLC0415
    from tdev_operators.hooks.ledger_database import CONNECTION  # noqa: PLC0415
    from tdev_operators.hooks.logs_assembly import log_ports  # noqa: PLC0415

    settings, out = settings or load_settings(), out or sys.stdout
    connections = EnvironmentConnections(environment)
    wanted, _ = wanted_of(settings)
    ledger = PostgresLedger(connections.get(CONNECTION))
    results = analyse_logs(log_ports(settings, connections), settings, ledger, wanted=wanted, progress=progress)
    if args.json:
        print(json.dumps([one.to_json() for one in results], indent=2), file=out)
    else:
        print_results(results, out, details=args.details)
    return 1 if any(one.verdict.is_red for one in results) else 0
