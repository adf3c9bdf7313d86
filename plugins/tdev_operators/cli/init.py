"""Make what the maintenance needs (ledger schema, pools, roles, calendar) and try every connection.

Safe to run again, and twice at once; run it after each upgrade of the package.
"""

import argparse
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tdev_operators.core.backup.readiness import ready
from tdev_operators.core.errors import SetupMissingError, TdevError
from tdev_operators.core.reporting.status import CalendarItem
from tdev_operators.core.settings import Settings, load_settings
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.airflow_setup import ensure_airflow
from tdev_operators.hooks.connection_trials import trials
from tdev_operators.hooks.connections import ConnectionSource, EnvironmentConnections
from tdev_operators.hooks.dag_calendars import calendars_in
from tdev_operators.hooks.ledger_database import CONNECTION as LEDGER
from tdev_operators.hooks.ledger_schema import migrate
from tdev_operators.hooks.ledger_views import keep_calendar


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--dags",
        type=Path,
        default=Path(os.environ.get("AIRFLOW__CORE__DAGS_FOLDER", "dags")),
        help="the folder with the tiers' DAG files (default: Airflow's, else ./dags)",
    )
    parser.add_argument(
        "--no-airflow",
        action="store_true",
        help="leave Airflow's pools and roles alone (its database is not reachable)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Do every step, also after one failed, and return 1 when any failed."""
    settings = load_settings()
    failures = 0
    for name, step in _steps(settings, arguments, os.environ):
        try:
            outcome = step()
        except TdevError as error:
            failures += 1
            print(f"FAILED  {name}: {error}")
        else:
            print(f"ok      {name}: {outcome}")
    return 1 if failures else 0


def _steps(
    settings: Settings, arguments: argparse.Namespace, environment: Mapping[str, str]
) -> Iterator[tuple[str, Callable[[], str]]]:
    connections = EnvironmentConnections(environment)
    yield "ledger", lambda: _migrate(connections)
    if not arguments.no_airflow:
        yield "Airflow", lambda: ensure_airflow(environment)
    # The calendar comes after the pools: an item that the ledger knows is an item whose pool exists.
    yield "calendar", lambda: _keep_calendar(connections, arguments.dags)
    for name, trial in trials(settings, connections):
        yield f"connection {name}", trial
    yield "back-ups", lambda: _ready_for_backups(settings, connections)


def _ready_for_backups(settings: Settings, connections: ConnectionSource) -> str:
    # Not at the top: it loads botocore, which takes a second, and the other commands do without.
    from tdev_operators.hooks.backup_assembly import backup_ports  # noqa: PLC0415

    with backup_ports(settings, connections) as ports:
        sources = [*map(ports.maintained, settings.backup.databases), ports.ledger]
        found = ready(sources, ports.scratch, settings.backup.client_tools)
    if doubts := [result.summary for result in found if result.verdict is not Verdict.OK]:
        raise SetupMissingError(" ".join(doubts))
    return f"{', '.join(source.name for source in sources)} can be dumped, and proven on the scratch server"


def _migrate(connections: ConnectionSource) -> str:
    done = migrate(connections.get(LEDGER))
    return f"schema brought up by {', '.join(done)}" if done else "schema is up to date"


def _keep_calendar(connections: ConnectionSource, dags: Path) -> str:
    calendars = calendars_in(dags)
    keep_calendar(
        connections.get(LEDGER),
        [
            CalendarItem(calendar.tier, name, slot.cron, slot.minutes, slot.priority, slot.owner)
            for _, calendar in calendars
            for name, slot in calendar.items.items()
        ],
    )
    return ", ".join(f"{dag_id}: {' '.join(calendar.items)}" for dag_id, calendar in calendars)
