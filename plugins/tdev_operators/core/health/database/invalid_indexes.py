"""Indexes that cost every write and serve no query: leftovers of a failed CREATE or REINDEX CONCURRENTLY."""

from tdev_operators.core.health.findings import Findings, some
from tdev_operators.core.health.server_state import ServerState
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult

NEEDS: tuple[str, ...] = ("database",)
HINT = (
    "DROP INDEX CONCURRENTLY what ends in _ccnew or _ccold (the good one stands beside it); "
    "REINDEX INDEX CONCURRENTLY what does not."
)


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """Hold the number of invalid indexes that nobody is building against its limit."""
    findings = Findings(__name__)
    state = ServerState.of(system.database)
    rows = system.database.rows(load_sql("health/invalid_indexes"))
    findings.saw(state.name)
    invalid = [row for row in rows if not row["being_built"]]
    building = len(rows) - len(invalid)
    limits = settings.health.database.invalid_indexes
    verdict = findings.measure("invalid indexes", len(invalid), "", limits)
    findings.measure("indexes being built", building)
    findings.measure("size of invalid indexes", sum(row["bytes"] for row in invalid), "bytes")
    named = some([f"{row['index_name']} on {row['table_name']}" for row in invalid])
    if invalid:
        findings.found(verdict, f"{len(invalid)} indexes are invalid and nobody is building them: {named}.")
    busy = f" {building} are being built." if building else ""
    return findings.conclude(
        f"{len(invalid)} indexes are invalid{f': {named}' if invalid else ''}.{busy}",
        hint=" ".join(row["remedy"] for row in invalid[:3]),
        tool=state.tool,
    )
