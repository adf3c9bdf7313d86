"""Client connections against what ordinary roles may have."""

from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.server_state import ServerState
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult

NEEDS: tuple[str, ...] = ("database",)
HINT = "SELECT usename, application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3 ORDER BY 4 DESC;"
DOUBTFUL = True


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """Hold the used share of max_connections, less the reserved ones, against its limit."""
    findings = Findings(__name__)
    state = ServerState.of(system.database)
    state.require_all_sessions()
    row = system.database.rows(load_sql("health/connections"))[0]
    findings.saw(state.name)
    share = 100 * row["used"] / max(row["usable"], 1)
    limits = settings.health.database.connections_used_percent
    findings.measure("connections", row["used"])
    verdict = findings.measure("connections used", round(share, 1), "%", limits)
    sentence = f"{row['used']} of {row['usable']} connections are used ({share:.0f} %), {row['idle']} of them idle."
    findings.found(verdict, sentence)
    return findings.conclude(sentence, tool=state.tool)
