"""Entry point of the command `tdev`."""

import argparse
import sys
from collections.abc import Sequence

from tdev_operators import __version__
from tdev_operators.cli import (
    agents,
    audit,
    backup,
    cleanup,
    drill,
    failover,
    findings,
    give_back,
    init,
    logs,
    restore,
    status,
    tuning,
    which_backup,
)
from tdev_operators.core.errors import TdevError

_COMMANDS = {
    "agents": agents,
    "audit": audit,
    "backup": backup,
    "cleanup": cleanup,
    "drill": drill,
    "failover": failover,
    "findings": findings,
    "give-back": give_back,
    "init": init,
    "logs": logs,
    "restore": restore,
    "status": status,
    "tuning": tuning,
    "which-backup": which_backup,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; an error of ours is one sentence on standard error and status 4."""
    parser = argparse.ArgumentParser(prog="tdev", description="Maintenance of T-Developer.")
    parser.add_argument("--version", action="version", version=f"tdev-maintenance {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in _COMMANDS.items():
        summary = (command.__doc__ or "").splitlines()[0]
        command.add_arguments(commands.add_parser(name, help=summary, description=command.__doc__))
    arguments = parser.parse_args(argv)
    try:
        ended: int = _COMMANDS[arguments.command].run(arguments)
    except TdevError as error:
        print(f"tdev {arguments.command}: {error}", file=sys.stderr)
        return 4
    return ended


if __name__ == "__main__":
    sys.exit(main())
