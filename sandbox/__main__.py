"""`python -m sandbox up | break WHAT | mend | environment`."""

import argparse
import sys
import time

from sandbox.control import ask, export_lines, publish, refuse_second, running
from sandbox.processes import SandboxError, end_on_signals
from sandbox.scales import SCALES


def main(argv: list[str] | None = None) -> int:
    """Run one command; return the exit status."""
    parser = argparse.ArgumentParser(prog="sandbox", description="A whole T-Developer on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start it and stay until a signal comes")
    up.add_argument("--scale", choices=SCALES, default="full")
    up.add_argument("--no-engine", dest="engine", action="store_false", help="without new generations")
    up.add_argument("--interval", type=float, default=60.0, metavar="SECONDS", help="between two generations")
    commands.add_parser("break", help="break one aspect on purpose").add_argument("what")
    commands.add_parser("mend", help="mend everything")
    commands.add_parser("environment", help="print shell lines that let the product find it")
    arguments = parser.parse_args(argv)
    try:
        match arguments.command:
            case "up":
                _up(arguments)
            case "environment":
                print(export_lines(running()["environment"]), end="")
            case _:
                ask(arguments.command, getattr(arguments, "what", ""))
    except SandboxError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _up(arguments: argparse.Namespace) -> None:
    from sandbox.system import Sandbox  # noqa: PLC0415 (slow to import, and the other commands should be quick)

    refuse_second()
    end_on_signals()
    began = time.monotonic()
    try:
        with Sandbox.start(
            arguments.scale, engine=arguments.engine, engine_interval_seconds=arguments.interval
        ) as sandbox:
            publish(sandbox)
            print(f"T-Developer is up after {time.monotonic() - began:.1f} s in {sandbox.home}", flush=True)
            for name, part in sandbox.parts.items():
                place = f"{part.host}:{part.port}" if part.running and part is not sandbox.engine else ""
                print(f"  {name:<13} {place or ('running' if part.running else 'not running')}", flush=True)
            while True:
                time.sleep(3_600)
    except SystemExit:
        print("T-Developer is stopped and removed.", flush=True)


if __name__ == "__main__":
    sys.exit(main())
