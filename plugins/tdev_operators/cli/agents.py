"""`tdev agents`: agents made smaller, and former ones put back. Needs database, bucket and API; to write, the ledger.

tdev agents optimise                 which would become smaller, and which not and why; nothing is written
tdev agents optimise --run           the same, written back
tdev agents undo RUN                 what putting a run's former sources back would do
tdev agents undo NAME --run          an agent's former source put back, where ours still stands
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TextIO

from tdev_operators.cli.notes import noted_where_possible, print_results, progress, shell_run_id
from tdev_operators.core.errors import InputError
from tdev_operators.core.items import ItemRef
from tdev_operators.core.leases import refusal_when_lost
from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.settings import Settings, load_settings
from tdev_operators.hooks.connections import ConnectionSource, EnvironmentConnections

if TYPE_CHECKING:
    from tdev_operators.core.agents.ports import AgentPorts
    from tdev_operators.core.agents.run import Run

_ITEM = "agent_optimization"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `tdev agents` takes."""
    parser.epilog = "exit status: 0 done and proven (or only said), 1 not all of it, 4 an error"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("action", choices=("optimise", "undo"), help="what to do")
    add("which", nargs="?", default="", metavar="RUN_OR_AGENT", help="for undo: a run's id, or an agent's name")
    add("--run", action="store_true", help="write; without it nothing is touched")
    add("--by", default="", metavar="PERSON", help="who asks for it")
    add("--json", action="store_true", help="print JSON instead of lines")


def run(args: argparse.Namespace) -> int:
    """Carry out `tdev agents`; returns the exit status."""
    return agents(args)


def agents(
    args: argparse.Namespace,
    *,
    environment: Mapping[str, str] = os.environ,
    settings: Settings | None = None,
    out: TextIO | None = None,
) -> int:
    """Optimise or take back; the connections come from the environment. Progress goes to standard error.

    Raises:
        TdevError: it cannot be done, or broke off; done again, it goes on.
    """
    from tdev_operators.core.agents.run import Run  # noqa: PLC0415  the other commands do without botocore
    from tdev_operators.hooks.agent_assembly import agent_ports  # noqa: PLC0415
    from tdev_operators.hooks.ledger import PostgresLedger  # noqa: PLC0415
    from tdev_operators.hooks.ledger_database import CONNECTION  # noqa: PLC0415

    settings, out = settings or load_settings(), out or sys.stdout
    if (args.action == "undo") != bool(args.which):
        raise InputError("`tdev agents undo` takes a run's id or an agent's name, and `optimise` takes neither.")
    connections: ConnectionSource = EnvironmentConnections(environment)
    run_id = shell_run_id("agents")
    ref = ItemRef("shell", "shell", run_id, _ITEM)

    def note(event: str, facts: Mapping[str, Any]) -> None:
        told = {**facts, "asked_by": args.by or "shell"}
        noted_where_possible(lambda: PostgresLedger(connections.get(CONNECTION)).journal(ref, event, told))

    with ExitStack() as stack:
        ports = stack.enter_context(agent_ports(settings, connections))
        check: Callable[[], None] = lambda: None  # noqa: E731  who only looks is in nobody's way
        if args.run:  # and who writes must know that nobody else does, so without the ledger nothing is written
            lease = PostgresLedger(connections.get(CONNECTION)).lease(f"item:{_ITEM}", run_id)
            check = refusal_when_lost(stack.enter_context(lease), f"item:{_ITEM}")
        work = Run(run_id, note=note, progress=progress, check=check, write=args.run)
        if args.run:
            progress(f"run {run_id}")
        return (
            _undo(ports, settings, args, work, out)
            if args.action == "undo"
            else _optimise(ports, settings, args, work, out)
        )


def _optimise(ports: "AgentPorts", settings: Settings, args: argparse.Namespace, work: "Run", out: TextIO) -> int:
    from tdev_operators.core.agents.run import optimise_agents  # noqa: PLC0415  the other commands do without

    results = optimise_agents(ports, settings, work)
    if args.json:
        told = {"run": work.id if args.run else None, "results": [one.to_json() for one in results]}
        print(json.dumps(told, indent=2), file=out)
    else:
        print_results(results, out, details=True)
    return int(any(one.verdict.is_red for one in results))


def _undo(ports: "AgentPorts", settings: Settings, args: argparse.Namespace, work: "Run", out: TextIO) -> int:
    from tdev_operators.core.agents.run import take_back  # noqa: PLC0415  the other commands do without

    told, count = take_back(ports, settings, args.which, work)
    if not count:
        raise InputError(
            f"Nothing is kept of {one_line(args.which)!r}; name a run as its report does, or an agent as the registry "
            "does."
        )
    if args.json:
        print(json.dumps({"run": work.id if args.run else None, "not_put_back": told}, indent=2), file=out)
    else:
        for label, why in told.items():
            print(f"{label}: {one_line(why) or 'its former source was put back'}", file=out)
    return int(bool(args.run) and any(told.values()))
