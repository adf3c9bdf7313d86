"""What is measured each day: statements, sizes, activity, buckets, disks. Kept in the ledger, compared with later."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tdev_operators.core.errors import BusyError, InputError, SetupMissingError, TdevError
from tdev_operators.core.health.infrastructure.disk import mounts
from tdev_operators.core.health.server_state import ServerState
from tdev_operators.core.ledger import Sample
from tdev_operators.core.ports import Database
from tdev_operators.core.sql import load_sql

if TYPE_CHECKING:
    from tdev_operators.core.ports import SystemPorts
    from tdev_operators.core.settings import Settings

STATEMENTS, SIZES, ACTIVITY, BUCKETS, DISKS = "statements", "sizes", "activity", "buckets", "disks"
_PG_17 = 170_000
_VIEW = "FROM pg_stat_statements"
_TEXT = 200
_ASKED_FOR = 400  # characters of a text, by performance/statements.sql: comments and white space go
# What a literal may look like in a text that the server did not normalise: utility statements before 16, DO, COPY.
_LITERALS = re.compile(
    r"/\*.*?(?:\*/|$)|--[^\n]*"
    r"|(?P<quoted>[eEbBxX]?'(?:[^'\\]|''|\\.)*(?:'|$)|\$(?P<tag>[A-Za-z_]*)\$.*?(?:\$(?P=tag)\$|$)|(?<![\w$.])\d[\w.]*)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Told:
    """How a statement is shown: whose it is, and its text without literals."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Taken:
    """Today's samples by kind, or why there is none; and how to show the statements (their texts are not kept)."""

    at: datetime
    samples: Mapping[str, Sample | TdevError]
    told: Mapping[str, Told] = field(default_factory=dict)
    tool: str = ""

    def sample(self, kind: str) -> Sample:
        """Return today's sample of a kind.

        Raises:
            TdevError: it could not be taken.
        """
        sample = self.samples[kind]
        if isinstance(sample, TdevError):
            raise sample
        return sample


def take(system: "SystemPorts", settings: "Settings") -> Taken:
    """Measure everything; what cannot be measured is an error in its place, and the others still are."""
    at = system.clock()
    told: dict[str, Told] = {}
    tool = ""
    try:
        server = _server(system.database)
        tool = f"PostgreSQL {server['version']}"
    except TdevError as error:
        problem = error
        server = {}

    def with_server(look: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
        def run() -> dict[str, Any]:
            if not server:
                raise problem
            return look()

        return run

    looks: dict[str, Callable[[], dict[str, Any]]] = {
        STATEMENTS: with_server(lambda: _statements(system.database, settings, server, told)),
        SIZES: with_server(lambda: _sizes(system.database, settings, server)),
        ACTIVITY: with_server(lambda: _activity(system.database, server)),
    }
    if settings.performance.listing_seconds:
        looks[BUCKETS] = lambda: _buckets(system, settings)
    if settings.recovery.database_host:
        looks[DISKS] = lambda: _disks(system, settings)
    samples: dict[str, Sample | TdevError] = {}
    for kind, look in looks.items():
        try:
            samples[kind] = Sample(at, look())
        except TdevError as error:
            samples[kind] = error
    return Taken(at, samples, told, tool)


def without_literals(text: str) -> str:
    """Return a statement in one line of at most 200 characters, `?` where a value might stand, without comments."""
    masked = _LITERALS.sub(lambda found: "?" if found["quoted"] else " ", text)
    line = " ".join(masked.split())
    whole = len(line) <= _TEXT and len(text) < _ASKED_FOR
    return line if whole else f"{line[: _TEXT - 1]}…"


def _server(database: Database) -> dict[str, Any]:
    server = database.rows(load_sql("performance/server"))[0]
    if server["in_recovery"]:
        raise InputError(
            f"{database.name} is a standby, whose counters are not the primary's; let tdev_postgres name the primary."
        )
    ServerState.of(database).require_all_sessions()
    return server


def _statements(
    database: Database, settings: "Settings", server: Mapping[str, Any], told: dict[str, Told]
) -> dict[str, Any]:
    _require_statements(database.name, server)
    schema = '"' + server["extension_schema"].replace('"', '""') + '"'

    def asked(name: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        # The extension may live in a schema that our search path does not know.
        return database.rows(load_sql(name).replace(_VIEW, f"FROM {schema}.pg_stat_statements"), params)

    info = asked("performance/statements_info")[0]
    rows = asked("performance/statements", {"most": settings.performance.kept_statements})
    told |= {row["statement"]: Told(row["role"], without_literals(row["text"])) for row in rows}
    kept = {
        row["statement"]: [row["calls"], row["milliseconds"], row["temp_bytes"], _iso(row["since"])] for row in rows
    }
    by_time = [row["milliseconds"] for row in rows if row["by_time"] <= settings.performance.kept_statements]
    whole = not rows or len(by_time) == rows[0]["recorded"]
    return {
        "reset": _iso(info["stats_reset"]),
        "evictions": info["dealloc"],
        "room": info["room"],
        "recorded": rows[0]["recorded"] if rows else 0,
        "floor_ms": None if whole else min(by_time),  # what is not kept had at most this
        "statements": kept,
    }


def _require_statements(name: str, server: Mapping[str, Any]) -> None:
    """Say exactly what is missing.

    Raises:
        SetupMissingError: pg_stat_statements is not there, not loaded, or too old.
    """
    steps = []
    if not server["preloaded"]:
        steps.append(
            "add pg_stat_statements to shared_preload_libraries (postgresql.conf, or the parameter group of a managed "
            "server) and restart the server"
        )
    if server["extension_version"] is None:
        steps.append(f"run CREATE EXTENSION pg_stat_statements in {server['database']}")
    elif tuple(int(part) for part in server["extension_version"].split(".")) < (1, 9):
        steps.append(f"run ALTER EXTENSION pg_stat_statements UPDATE in {server['database']}")
    if steps:
        raise SetupMissingError(f"{name} keeps no statement statistics: {', then '.join(steps)}.")


def _sizes(database: Database, settings: "Settings", server: Mapping[str, Any]) -> dict[str, Any]:
    limits = settings.performance
    tables = _patiently(database, "performance/tables", limits.kept_tables)
    indexes = _patiently(database, "performance/indexes", limits.kept_indexes)
    return {
        "database": server["database"],
        "database_bytes": server["database_bytes"],
        "all_tables": not tables or tables[0]["known"] == len(tables),
        "all_indexes": not indexes or indexes[0]["known"] == len(indexes),
        "tables": {row["name"]: [row["table_bytes"], row["index_bytes"]] for row in tables},
        "indexes": {row["name"]: [row["bytes"], row["table_name"]] for row in indexes},
    }


def _patiently(database: Database, name: str, most: int) -> list[dict[str, Any]]:
    """Ask once more when a table was locked between our look at the locks and our look at its size."""
    try:
        return database.rows(load_sql(name), {"most": most})
    except BusyError:
        return database.rows(load_sql(name), {"most": most})


def _activity(database: Database, server: Mapping[str, Any]) -> dict[str, Any]:
    now = database.rows(load_sql("performance/activity"))[0]
    if server["version_num"] >= _PG_17:
        checkpoints = database.rows(load_sql("performance/checkpoints"))[0]
    else:
        checkpoints = database.rows(load_sql("performance/checkpoints_before_17"))[0]
    databases = database.rows(load_sql("performance/databases"))
    return {
        **now,
        "checkpoints": [checkpoints["timed"], checkpoints["requested"], checkpoints["write_seconds"]],
        "checkpoints_reset": _iso(checkpoints["stats_reset"]),
        "databases": {
            row["name"]: [row["temp_bytes"], row["temp_files"], row["deadlocks"], _iso(row["stats_reset"])]
            for row in databases
        },
    }


def _buckets(system: "SystemPorts", settings: "Settings") -> dict[str, Any]:
    """Count the buckets, object by object and none of them held: a listing costs a request for 1,000 objects."""
    deadline = time.monotonic() + settings.performance.listing_seconds
    wanted = {**settings.buckets.sources, "backups": settings.buckets.backups}
    counted = {}
    for name, bucket in wanted.items():
        size = objects = 0
        for found in system.objects.list(bucket):
            size += found.size_bytes
            objects += 1
            if time.monotonic() > deadline:
                raise InputError(
                    f"Listing the buckets took longer than {settings.performance.listing_seconds:g} s, at object "
                    f"{objects:,} of {bucket}; raise performance.listing_seconds, or set it to 0 to list none."
                )
        counted[name] = {"bytes": size, "objects": objects}
    return counted


def _disks(system: "SystemPorts", settings: "Settings") -> dict[str, Any]:
    name = settings.recovery.database_host
    entry = next(host for host in settings.hosts if host.name == name)
    if name not in system.hosts:
        raise InputError(f"There is no way to reach host {name}; check its entry in [[hosts]].")
    return {f"{name}:{mount.point}": round(mount.used_percent, 2) for mount in mounts(system.hosts[name], entry)}


def _iso(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat()
