"""Tables that have been past their autovacuum or autoanalyze threshold for hours."""

from typing import Any

from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.server_state import ServerState
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("database",)
HINT = (
    "Look for 'canceling autovacuum task' in the server's log, for autovacuum switched off on a table (\\d+ <table>), "
    "and for workers that are always busy (autovacuum_max_workers, autovacuum_vacuum_cost_limit)."
)


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """Hold the hours since the last vacuum (or analyze) of tables that are past their threshold against the limit.

    A table that was never vacuumed may be new: at most a WARNING. Autovacuum switched off is CRITICAL.
    """
    findings = Findings(__name__)
    state = ServerState.of(system.database)
    if state.note_standby(findings):
        return findings.conclude("", tool=state.tool)
    findings.saw(state.name)
    if not (state.autovacuum and state.tracks_counts):
        off = "autovacuum" if not state.autovacuum else "track_counts"
        findings.found(Verdict.CRITICAL, f"{off} is off on the whole server; nothing is vacuumed by itself.")
    state.note_young_statistics(findings, settings)
    tables = system.database.rows(load_sql("health/autovacuum_overdue"))
    for row in tables:
        for work in ("vacuum", "analyze"):
            if row[f"needs_{work}"]:
                _judge(row, work, state.statistics_hours, settings, findings)
    findings.measure("tables past a threshold", len(tables))
    return findings.conclude(
        f"{len(tables)} tables are past a threshold of autovacuum, none for too long.", tool=state.tool
    )


def _judge(row: dict[str, Any], work: str, counted_hours: float, settings: Settings, findings: Findings) -> None:
    table, hours = row["table_name"], row[f"hours_since_{work}"]
    since = counted_hours if hours is None else hours
    limits = settings.health.database.autovacuum_overdue_hours
    verdict = findings.measure(f"{table} without {work}", round(since, 1), "h", limits)
    last = f"{since:.0f} h after its last one"
    if hours is None:
        last = f"and had none in the {since:.0f} h that are counted"
        verdict = min(verdict, Verdict.WARNING, key=lambda v: v.badness)
    off = "" if row["enabled"] else "; autovacuum is switched off for it"
    findings.found(verdict, f"{table} needs {work} ({row[f'{work}_reason']}) {last}{off}.")
