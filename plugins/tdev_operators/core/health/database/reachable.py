"""Whether the database answers."""

from tdev_operators.core.errors import TdevError
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.server_state import ServerState
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("database",)
DOUBTFUL = True
HINT = "`pg_isready -h <host> -p <port>` from the worker; then the server's own log, and the connection tdev_postgres."


def check(system: SystemPorts, settings: Settings) -> CheckResult:  # noqa: ARG001  every check has this signature
    """CRITICAL when the database does not answer a simple question."""
    findings = Findings(__name__)
    findings.saw(system.database.name)
    try:
        state = ServerState.of(system.database)
    except TdevError as error:
        findings.found(Verdict.CRITICAL, f"Database {system.database.name} cannot be used: {error}")
        return findings.conclude("")
    findings.measure("up for", round(state.uptime_seconds), "s")
    role = "standby" if state.in_recovery else "primary"
    days = state.uptime_seconds / 86_400
    return findings.conclude(f"{state.name} answers ({state.tool}, {role}, up for {days:.1f} days).", tool=state.tool)
