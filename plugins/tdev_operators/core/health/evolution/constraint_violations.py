"""Generations whose agents broke the system's constraints."""

from tdev_operators.core.errors import AccessDeniedError
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult

NEEDS: tuple[str, ...] = ("database",)
HINT = "SELECT * FROM evolution_history WHERE constraints_met IS NOT TRUE ORDER BY timestamp DESC LIMIT 20;"

_NAMED = 3


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """Hold the number of recent history rows with unmet constraints against the limit, and name their agents."""
    limits = settings.health.evolution
    findings = Findings(__name__)
    rows = system.database.rows(load_sql("health/constraint_violations"), {"hours": limits.history_hours})
    if rows and rows[0]["rows_hidden"]:
        raise AccessDeniedError("Row security hides rows of evolution_history or agents; give our role BYPASSRLS.")
    looked_at = sum(row["looked_at"] for row in rows)
    violations = sum(row["violations"] for row in rows)
    span = f"the last {limits.history_hours:g} h"
    if not looked_at:
        return findings.conclude(f"No history of {span}.", because_of="evolution.generation_age")
    findings.saw("evolution_history")
    guilty = [row for row in rows if row["violations"]]
    named = ", ".join(f"{row['agent']} ({row['violations']})" for row in guilty[:_NAMED])
    more = f" and {len(guilty) - _NAMED} more" if len(guilty) > _NAMED else ""
    verdict = findings.measure("constraint violations", violations, "", limits.constraint_violations)
    findings.measure("history rows", looked_at)
    if guilty:
        findings.found(
            verdict, f"{violations} of {looked_at} history rows of {span} broke constraints, by agents {named}{more}."
        )
    return findings.conclude(f"{violations} of {looked_at} history rows of {span} broke constraints.")
