"""Taking a sample of how the system does: the database's counters, its statements, what the API and its log take."""

from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg.sql import SQL, Identifier

from tdev_operators.core.application.requests import logged_requests
from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.alone import APPLICATION as SESSION_NAME
from tdev_operators.core.database.tuning.effect import BEFORE, LOOK, SAMPLES
from tdev_operators.core.database.tuning.ports import TuningPorts
from tdev_operators.core.errors import AccessDeniedError, InputError, TdevError
from tdev_operators.core.health.api.latency import percentile
from tdev_operators.core.ledger import ItemStore, Sample
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql

if TYPE_CHECKING:
    from tdev_operators.core.database.tuning.apply import Tuning

_VIEW = "FROM pg_stat_statements"


def take(ports: TuningPorts, settings: Settings, *, moment: str = LOOK, **facts: Any) -> Sample:
    """Measure now. What cannot be measured is None in the sample, and the comparison says so.

    Raises:
        TdevError: the database cannot be asked.
    """
    with ports.care.database.session(application_name=SESSION_NAME) as session:
        measured = _counted(session)
    taken_at = measured.pop("taken_at")
    measured["api_p95_ms"] = _api(ports, settings)
    measured["log_p95_ms"] = _log(ports, settings, taken_at)
    return Sample(taken_at, {"moment": moment, **measured, **facts})


def keep_before(ledger: ItemStore, ports: TuningPorts, settings: Settings, tuning: "Tuning") -> None:
    """Measure how the system is before a run's change and keep it, so that the effect can be seen a day later.

    Raises:
        TdevError: the database cannot be asked.
    """
    changes = [change.name for change in tuning.plan.changes]
    sample = take(ports, settings, moment=BEFORE, tuning_id=tuning.request.tuning_id, changes=changes)
    ledger.keep_sample(settings.system.name, SAMPLES, sample)


def _counted(session: Session) -> dict[str, Any]:
    row = session.rows(load_sql("tuning/counters"))[0]
    has_checkpointer, schema = row.pop("has_checkpointer"), row.pop("statements_schema")
    name = "performance/checkpoints" if has_checkpointer else "performance/checkpoints_before_17"
    checkpoints = session.rows(load_sql(name))[0]
    return {
        **row,
        "since": row["since"].isoformat(),
        "checkpoints_timed": checkpoints["timed"],
        "checkpoints_requested": checkpoints["requested"],
        "statements": _statements(session, schema) if schema else None,
    }


def _statements(session: Session, schema: str) -> dict[str, list[Any]] | None:
    """Return calls, mean, deviation and text by statement; None where the view answers nobody like us."""
    before, _, after = load_sql("tuning/statement_counters").partition(_VIEW)
    view = SQL("FROM {}.pg_stat_statements").format(Identifier(schema))
    statement = SQL("{}{}{}").format(SQL(before), view, SQL(after))
    found = {}
    try:
        rows = session.rows(statement)
    except (AccessDeniedError, InputError):  # installed, and not in shared_preload_libraries
        return None
    for row in rows:
        if row["calls"]:
            mean = row["total_ms"] / row["calls"]
            deviation = max(row["squares"] / row["calls"] - mean**2, 0.0) ** 0.5
            found[row["key"]] = [row["calls"], mean, deviation, row["text"]]
    return found


def _api(ports: TuningPorts, settings: Settings) -> float | None:
    """Return the p95 of a few requests of each endpoint in ms; None when it does not answer all of them."""
    rules, taken = settings.health.api, []
    with suppress(TdevError):
        for endpoint in rules.endpoints:
            taken += [
                ports.care.system.api.get(endpoint.path).seconds * 1000 for _ in range(rules.requests_per_endpoint)
            ]
        return percentile(taken, 95)
    return None


def _log(ports: TuningPorts, settings: Settings, now: datetime) -> float | None:
    """Return the p95 of the requests that the log tells of, in ms; None when it tells of none, or not of all."""
    logged = logged_requests(ports.care.system.hosts, settings, now)
    return percentile(logged.milliseconds, 95) if logged else None
