"""Sessions that wait for a lock, and who holds it."""

from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.server_state import ServerState
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult

NEEDS: tuple[str, ...] = ("database",)
HINT = "SELECT pid, state, query FROM pg_stat_activity WHERE pid = ANY (pg_blocking_pids(<waiting pid>));"
DOUBTFUL = True


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """Hold the longest wait for a lock against its limit. Waits by design (advisory, virtualxid) are only counted."""
    findings = Findings(__name__)
    state = ServerState.of(system.database)
    state.require_all_sessions()
    rows = system.database.rows(load_sql("health/lock_waits"))
    findings.saw(state.name)
    limits = settings.health.database.lock_wait_seconds
    total, by_design = (rows[0]["total"], rows[0]["total_by_design"]) if rows else (0, 0)
    judged = [row for row in rows if not row["by_design"]]
    findings.measure("sessions waiting for a lock", total)
    findings.measure("sessions waiting by design", by_design)
    longest = max((row["waited_seconds"] for row in judged), default=0.0)
    findings.measure("longest wait for a lock", round(longest, 1), "s", limits)
    for row in judged:
        verdict = findings.measure(f"wait of pid {row['pid']}", round(row["waited_seconds"], 1), "s", limits)
        findings.found(
            verdict,
            f"Pid {row['pid']} ({row['who']}) waits {row['waited_seconds']:.0f} s for {row['mode']} on {row['target']} "
            f"behind {row['blockers'] or 'nobody any more'}.",
        )
    sentence = f"{total} sessions wait for a lock, the longest for {longest:.0f} s."
    more = f" {by_design} sessions wait by design (advisory locks, concurrent index builds)." if by_design else ""
    return findings.conclude((sentence if total else "No session waits for a lock.") + more, tool=state.tool)
