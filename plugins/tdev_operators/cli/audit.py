"""`tdev audit`: how what is there differs from what was accepted, and accepting it. Asks the ledger alone."""

import argparse
import getpass
import os
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TextIO

from tdev_operators.core.errors import SetupMissingError
from tdev_operators.core.ports import utc_now
from tdev_operators.core.security.audit.looks import all_looks
from tdev_operators.core.security.audit.run import accept, difference, state_of
from tdev_operators.core.settings import Settings, load_settings
from tdev_operators.hooks.connections import EnvironmentConnections
from tdev_operators.hooks.ledger import PostgresLedger
from tdev_operators.hooks.ledger_database import CONNECTION

_WEEKS = timedelta(days=15)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `tdev audit` takes."""
    parser.epilog = "exit status: 0 everything is as it was accepted, 1 something differs, 4 an error"
    parser.add_argument("--accept", metavar="LOOK", help="make what the last audit saw the accepted state")
    parser.add_argument("--state", default="", help="the state that was read, as the report names it")
    parser.add_argument("--by", default="", help="who accepts it (you)")


def run(args: argparse.Namespace) -> int:
    """Carry out `tdev audit`; returns the exit status."""
    return audit(args)


def audit(
    args: argparse.Namespace,
    *,
    environment: Mapping[str, str] = os.environ,
    settings: Settings | None = None,
    now: datetime | None = None,
    out: TextIO | None = None,
) -> int:
    """Print differences, or accept a look's state. The connection `tdev_ledger` comes from the environment.

    Raises:
        TdevError: settings, connection or ledger cannot be read; there is nothing to accept.
    """
    settings, out, now = settings or load_settings(), out or sys.stdout, now or utc_now()
    ledger = PostgresLedger(EnvironmentConnections(environment).get(CONNECTION))
    if args.accept:
        by = args.by or getpass.getuser()
        count = accept(ledger, settings, args.accept, by, now, args.state)
        print(f"{args.accept}: {count} lines accepted by {by}.", file=out)
        return 0
    differs = False
    for look in all_looks():
        if look.against != "accepted":
            continue
        seen = ledger.samples(settings.system.name, look.name, now - _WEEKS, 1)
        if not seen:
            print(f"{look.name}: no audit of the last two weeks has looked", file=out)
            differs = True
            continue
        found = difference(ledger, settings.system.name, look, seen[-1].facts["facts"], now)
        if found is None:
            raise SetupMissingError("The ledger does not answer; mend the connection tdev_ledger.")
        state = state_of(seen[-1].facts["facts"])
        if found.since is None:
            print(f"{look.name}: nobody has accepted its {len(seen[-1].facts['facts'])} lines, state {state}", file=out)
            added = seen[-1].facts["facts"]
        else:
            word = "differs from" if found.added or found.removed else "is as in"
            print(f"{look.name}: {word} what {found.by} accepted on {found.since:%Y-%m-%d}; state {state}", file=out)
            added = found.added
        left_out = seen[-1].facts.get("skipped") or ()
        differs = differs or found.since is None or bool(found.added or found.removed or left_out)
        if left_out:
            print(f"  not looked at: {', '.join(left_out)}", file=out)
        for sign, lines in (("+", added), ("-", found.removed)):
            for line in lines:
                print(f"  {sign} {line}", file=out)
    return 1 if differs else 0
