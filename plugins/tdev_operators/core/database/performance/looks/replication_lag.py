"""How far the standbys are behind while the system works."""

from tdev_operators.core.database.performance.day import Day
from tdev_operators.core.database.performance.sampling import ACTIVITY
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult, Verdict

HINT = "See the standby's disk and its log; a long query there holds replay back (max_standby_streaming_delay)."


def look(day: Day) -> CheckResult:
    """Hold each standby's lag against the health check's limits, at the hour at which work is done."""
    limits = day.settings.health.database
    findings = Findings("performance.replication_lag")
    day.taken.sample(ACTIVITY)
    standbys = day.system.database.rows(load_sql("health/replication_lag"))
    findings.saw("primary", *(row["standby"] for row in standbys))
    findings.measure("standbys", len(standbys))
    if len(standbys) < limits.expected_replicas:
        findings.found(Verdict.CRITICAL, f"{len(standbys)} of {limits.expected_replicas} expected standbys are there.")
    for row in standbys:
        seconds, megabytes = row["lag_seconds"], row["lag_mb"]
        verdicts = (
            findings.measure(f"{row['standby']} lag", round(seconds, 1), "s", limits.replication_lag_seconds),
            findings.measure(f"{row['standby']} lag in WAL", round(megabytes, 1), "MB", limits.replication_lag_mb),
        )
        worse = max(verdicts, key=lambda verdict: verdict.badness)
        findings.found(worse, f"{row['standby']} is {seconds:.0f} s and {megabytes:.0f} MB behind.")
    return findings.conclude(f"{len(standbys)} standbys, none behind by more than its limit.", tool=day.taken.tool)
