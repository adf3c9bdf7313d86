"""`tdev status`: is all well, and is the maintenance itself alive? Asks the ledger alone; Airflow may be dead."""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TextIO

from tdev_operators.core.errors import TdevError
from tdev_operators.core.ports import utc_now
from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.reporting.status import Health, ItemStatus, Status
from tdev_operators.core.reporting.wording import moment, span
from tdev_operators.hooks.connections import EnvironmentConnections
from tdev_operators.hooks.ledger_database import CONNECTION
from tdev_operators.hooks.ledger_views import LedgerViews

_EXIT_STATUSES = """exit status: 0 all is well, 1 a check or an item is red, 2 a slot is overdue or a tier is silent,
3 the ledger cannot be read"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `tdev status` takes."""
    parser.epilog = _EXIT_STATUSES
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")


def run(args: argparse.Namespace) -> int:
    """Carry out `tdev status`; returns the exit status."""
    return int(status(as_json=args.json))


def status(
    *,
    as_json: bool = False,
    environment: Mapping[str, str] = os.environ,
    now: datetime | None = None,
    out: TextIO | None = None,
) -> Health:
    """Print the state of the maintenance. The connection `tdev_ledger` comes from the environment."""
    out, now = out or sys.stdout, now or utc_now()
    try:
        found = LedgerViews(EnvironmentConnections(environment).get(CONNECTION)).status(now)
    except TdevError as error:
        sentence = f"The state of the maintenance is not known: {error}"
        print(json.dumps({"health": Health.LEDGER_DOWN.name, "error": sentence}) if as_json else sentence, file=out)
        return Health.LEDGER_DOWN
    print(json.dumps(_to_json(found), indent=2) if as_json else "\n".join(_lines(found, now)), file=out)
    return found.health


def _lines(found: Status, now: datetime) -> list[str]:
    width = max((len(f"{item.tier} {item.item}") for item in found.items), default=0)
    lines = [f"{f'{item.tier} {item.item}':{width}}  {_item_line(item, now)}" for item in found.items]
    if not lines:
        lines = ["Nothing is expected and nothing ever ran; run `tdev init`, then unpause the tiers."]
    for episode in found.episodes:
        age = span((now - episode.opened_at).total_seconds())
        lines.append(f"{episode.severity}: {episode.check}, for {age}: {one_line(episode.summary)}")
    lines += [f"SILENT: {sentence}" for sentence in found.silent]
    verdict = {
        Health.WELL: "All is well.",
        Health.RED: "Something is red.",
        Health.OVERDUE: "The maintenance itself is not running as planned.",
    }[found.health]
    return [*lines, verdict]


def _item_line(item: ItemStatus, now: datetime) -> str:
    if item.last is None:
        last = "never ran"
    elif item.last.ended_at is None:
        last = f"running or dead, began {span((now - item.last.started_at).total_seconds())} ago"
    else:
        last = f"{item.last.verdict} {span((now - item.last.ended_at).total_seconds())} ago"
    overdue = f", OVERDUE since {moment(item.overdue_since)}" if item.overdue_since else ""
    following = f", next {moment(item.next_slot)}" if item.next_slot else ", not scheduled"
    return f"{last}{overdue}{following}"


def _to_json(found: Status) -> dict[str, Any]:
    return {
        "health": found.health.name,
        "items": [
            {
                "tier": item.tier,
                "item": item.item,
                "verdict": item.last.verdict if item.last else None,
                "run_id": item.last.run_id if item.last else None,
                "report_id": item.last.report_id if item.last else None,
                "started_at": item.last.started_at.isoformat() if item.last else None,
                "ended_at": item.last.ended_at.isoformat() if item.last and item.last.ended_at else None,
                "next_slot": item.next_slot.isoformat() if item.next_slot else None,
                "overdue_since": item.overdue_since.isoformat() if item.overdue_since else None,
                "owner": item.calendar.owner if item.calendar else None,
            }
            for item in found.items
        ],
        "episodes": [
            {
                "item": episode.item,
                "check": episode.check,
                "severity": episode.severity.value,
                "summary": episode.summary,
                "opened_at": episode.opened_at.isoformat(),
            }
            for episode in found.episodes
        ],
        "silent": list(found.silent),
    }
