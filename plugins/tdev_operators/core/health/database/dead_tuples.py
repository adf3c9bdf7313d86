"""Tables with many dead rows, in number and in share."""

from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.server_state import ServerState
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult

NEEDS: tuple[str, ...] = ("database",)
HINT = "VACUUM (VERBOSE, ANALYZE) <table>; if it removes nothing, see who holds the xmin horizon (long_transactions)."


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """Hold the share of dead rows against its limit, in tables with at least `dead_tuples_minimum` of them."""
    limits = settings.health.database
    findings = Findings(__name__)
    state = ServerState.of(system.database)
    if state.note_standby(findings):
        return findings.conclude("", tool=state.tool)
    state.note_young_statistics(findings, settings)
    tables = system.database.rows(load_sql("health/dead_tuples"), {"minimum": limits.dead_tuples_minimum})
    findings.saw(state.name)
    for row in tables:
        share = row["dead_percent"]
        verdict = findings.measure(f"{row['table_name']} dead rows", round(share, 1), "%", limits.dead_tuples_percent)
        findings.found(verdict, f"{row['table_name']} holds {row['dead']:,} dead rows, {share:.0f} % of all its rows.")
    findings.measure("tables with many dead rows", tables[0]["total"] if tables else 0)
    if not tables:
        return findings.conclude(f"No table holds {limits.dead_tuples_minimum:,} dead rows.", tool=state.tool)
    worst = tables[0]
    return findings.conclude(
        f"{worst['total']} tables hold more than {limits.dead_tuples_minimum:,} dead rows, the worst "
        f"{worst['table_name']} with {worst['dead_percent']:.0f} %.",
        tool=state.tool,
    )
