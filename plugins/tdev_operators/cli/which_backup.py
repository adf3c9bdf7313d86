"""`tdev which-backup`: the set that would be used now, since when it is proven, how long restoring it took."""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TextIO

from tdev_operators.core.backup.manifest import State
from tdev_operators.core.backup.set_records import SetOnDisk
from tdev_operators.core.ports import utc_now
from tdev_operators.core.reporting.wording import counted, moment, span
from tdev_operators.core.settings import Settings, load_settings
from tdev_operators.hooks.connections import EnvironmentConnections

_PHASES = ("fetch", "pre_data", "data", "post_data", "record")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `tdev which-backup` takes."""
    parser.epilog = "exit status: 0 there is one, 1 nothing is proven, 4 an error"
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")


def run(args: argparse.Namespace) -> int:
    """Carry out `tdev which-backup`; returns the exit status."""
    return which_backup(args)


def which_backup(
    args: argparse.Namespace,
    *,
    environment: Mapping[str, str] = os.environ,
    settings: Settings | None = None,
    now: datetime | None = None,
    out: TextIO | None = None,
) -> int:
    """Print the newest PROVEN set. The connection `tdev_aws` comes from the environment.

    Raises:
        TdevError: settings, connection or bucket cannot be read.
    """
    from tdev_operators.cli.backup import repository_of  # noqa: PLC0415  the other commands do without botocore

    settings, out, now = settings or load_settings(), out or sys.stdout, now or utc_now()
    with repository_of(settings, EnvironmentConnections(environment)) as repository:
        sets = repository.sets()
    chosen = next((one for one in sets if one.reached(State.PROVEN)), None)
    if chosen is None:
        told: dict[str, Any] = {"set_id": None, "sets": len(sets)}
        text = f"None: of {counted(len(sets), 'set')} nothing is PROVEN. `tdev backup list` shows what there is."
    else:
        told = _facts(chosen, sets, now)
        phases = ", ".join(f"{name} {took:.1f} s" for name, took in told["phases"].items())
        text = (
            f"{told['set_id']}\n"
            f"goes back to   {moment(chosen.recovery_point)}, {span(told['age_seconds'])} ago\n"
            f"proven at      {moment(chosen.attestations['proven'].at)}, by restoring it and comparing every table\n"
            f"took then      {span(told['seconds'])} ({phases})\n"
            f"newer, and not proven: {', '.join(told['newer']) or 'none'}\n"
            "use it by      tdev restore --dry-run"
        )
    print(json.dumps(told, indent=2) if args.json else text, file=out)
    return 0 if chosen else 1


def _facts(chosen: SetOnDisk, sets: list[SetOnDisk], now: datetime) -> dict[str, Any]:
    proven = chosen.attestations["proven"]
    names = [dump.name for dump in chosen.manifest.databases] if chosen.manifest else []
    phases = {
        phase: sum(float(proven.facts.get(f"{name}.{phase}_seconds", 0.0)) for name in names) for phase in _PHASES
    }
    return {
        "set_id": chosen.set_id,
        "recovery_point": chosen.recovery_point.isoformat(),
        "age_seconds": (now - chosen.recovery_point).total_seconds(),
        "proven_at": proven.at.isoformat(),
        "seconds": sum(phases.values()),
        "phases": phases,
        "newer": [one.set_id for one in sets if one.sequence > chosen.sequence and one.reached(State.COMPLETE)],
    }
