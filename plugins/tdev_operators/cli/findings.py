"""`tdev findings`: what scanners found, for people and for other tools. Asks the ledger alone; Airflow may be dead."""

import argparse
import os
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import TextIO

from tdev_operators import __version__
from tdev_operators.core.ports import utc_now
from tdev_operators.core.security.exports import WRITERS
from tdev_operators.core.security.judging import line_of
from tdev_operators.core.security.ledger import Sort
from tdev_operators.core.settings import Settings, load_settings
from tdev_operators.hooks.connections import EnvironmentConnections
from tdev_operators.hooks.findings_ledger import PostgresFindings
from tdev_operators.hooks.ledger_database import CONNECTION

_SORTS = [sort.value for sort in (Sort.OPEN, Sort.LATE, Sort.WAIVED, Sort.EXPIRING)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `tdev findings` takes."""
    parser.epilog = (
        "exit status: 0 nothing is late, 1 something is past its due date, 3 nobody has scanned yet, 4 an error"
    )
    parser.add_argument("--sort", choices=_SORTS, default=Sort.OPEN.value, help="which findings (open)")
    parser.add_argument("--format", choices=["lines", *WRITERS], default="lines", help="how they are written (lines)")


def run(args: argparse.Namespace) -> int:
    """Carry out `tdev findings`; returns the exit status."""
    return findings(args)


def findings(
    args: argparse.Namespace,
    *,
    environment: Mapping[str, str] = os.environ,
    settings: Settings | None = None,
    now: datetime | None = None,
    out: TextIO | None = None,
) -> int:
    """Print findings, the most urgent first. The connection `tdev_ledger` comes from the environment.

    Raises:
        TdevError: settings, connection or ledger cannot be read.
    """
    settings, out, now = settings or load_settings(), out or sys.stdout, now or utc_now()
    ledger = PostgresFindings(EnvironmentConnections(environment).get(CONNECTION))
    system, sort = settings.system.name, Sort(args.sort)
    if not ledger.has_looked(system):
        print("No scan has come to this ledger yet: nobody knows what there is to find.", file=sys.stderr)
        return 3
    each = ledger.each(system, now, sort)
    if args.format == "lines":
        for one in each:
            print(line_of(sort.value, one, now), file=out)
    else:
        WRITERS[args.format](each, out, version=__version__, at=now)
    return 1 if any(by.get(Sort.LATE) for by in ledger.counts(system, now).values()) else 0
