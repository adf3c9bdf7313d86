"""How far the standbys are behind, and whether all expected ones are there."""

from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.server_state import ServerState
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("database",)
HINT = "SELECT application_name, state, replay_lag, replay_lsn FROM pg_stat_replication; then the standby's own log."
DOUBTFUL = True


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """On a primary: all expected standbys, and their lag. On a standby: its own lag behind its primary."""
    state = ServerState.of(system.database)
    state.require_all_sessions()
    return _own_lag(system, settings, state) if state.in_recovery else _lag_of_standbys(system, settings, state)


def _lag_of_standbys(system: SystemPorts, settings: Settings, state: ServerState) -> CheckResult:
    limits = settings.health.database
    findings = Findings(__name__)
    findings.saw(state.name)
    standbys = system.database.rows(load_sql("health/replication_lag"))
    findings.measure("standbys", len(standbys))
    if len(standbys) < limits.expected_replicas:
        findings.found(
            Verdict.CRITICAL, f"{len(standbys)} of {limits.expected_replicas} expected standbys are replicating."
        )
    for row in standbys:
        _judge_lag(f"standby {row['standby']}", row["lag_seconds"], row["lag_mb"], settings, findings)
    worst = max((row["lag_mb"] for row in standbys), default=0.0)
    sentence = f"{len(standbys)} standbys are replicating, the last one {worst:.1f} MB behind."
    return findings.conclude(sentence if standbys else "No standby is expected and none is there.", tool=state.tool)


def _own_lag(system: SystemPorts, settings: Settings, state: ServerState) -> CheckResult:
    findings = Findings(__name__)
    findings.saw(state.name)
    row = system.database.rows(load_sql("health/replication_lag_of_standby"))[0]
    if not row["receiving"]:
        findings.found(Verdict.CRITICAL, f"{state.name} is a standby and receives nothing from its primary.")
    _judge_lag(state.name, row["lag_seconds"], row["lag_mb"], settings, findings)
    return findings.conclude(
        f"{state.name} is a standby, {row['lag_mb']:.1f} MB and {row['lag_seconds']:.0f} s behind.", tool=state.tool
    )


def _judge_lag(who: str, seconds: float, megabytes: float, settings: Settings, findings: Findings) -> None:
    limits = settings.health.database
    verdict = max(
        findings.measure(f"{who} lag", round(seconds, 1), "s", limits.replication_lag_seconds),
        findings.measure(f"{who} lag in WAL", round(megabytes, 1), "MB", limits.replication_lag_mb),
        key=lambda v: v.badness,
    )
    findings.found(verdict, f"{who} is {seconds:.0f} s and {megabytes:.0f} MB behind.")
