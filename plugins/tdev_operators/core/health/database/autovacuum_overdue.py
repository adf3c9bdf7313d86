"""Tables past their autovacuum or autoanalyze threshold that were not vacuumed or analyzed for hours."""

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

    Since when a table is past its threshold the server does not say: a load may have pushed it over a minute ago. So
    it is at most a WARNING unless it holds `autovacuum_overdue_multiple` times its threshold (which only a large load
    right before this look does as well) or was past it for certain at its last analyze (which only a large rolled-back
    change feigns). A table that was never vacuumed may be new: at most a WARNING too. What is being vacuumed or
    analyzed is left out. Autovacuum switched off is CRITICAL.
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
    multiple = settings.health.database.autovacuum_overdue_multiple
    rows = system.database.rows(load_sql("health/autovacuum_overdue"), {"multiple": multiple})
    for row in rows:
        _judge(row, state.statistics_hours, settings, findings)
    due = rows[0]["total"] if rows else 0
    findings.measure("vacuums and analyzes due", due)
    return findings.conclude(f"{due} vacuums and analyzes are due, none for too long.", tool=state.tool)


def _judge(row: dict[str, Any], counted_hours: float, settings: Settings, findings: Findings) -> None:
    table, work, hours, neglected = row["table_name"], row["work"], row["hours"], row["neglected_hours"]
    limits = settings.health.database.autovacuum_overdue_hours
    since = counted_hours if hours is None else hours
    verdict = findings.measure(f"{table} without {work}", round(since, 1), "h", limits)
    last = (
        f"and had none in the {since:.0f} h that are counted" if hours is None else f"{since:.0f} h after its last one"
    )
    if neglected is None or neglected < limits.critical:
        verdict = min(verdict, Verdict.WARNING, key=lambda v: v.badness)
        last += " (since when it needs it is not known)"
    off = "" if row["enabled"] else "; autovacuum is switched off for it"
    findings.found(verdict, f"{table} needs {work} ({row['reason']}) {last}{off}.")
