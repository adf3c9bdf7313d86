"""Blocks that PostgreSQL read and whose checksum was wrong."""

from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.server_state import ServerState
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("database",)
HINT = (
    "The storage corrupts data: keep the last proven back-up set, find the relation in the server's log "
    "('page verification failed'), run pg_amcheck, and move to other disks. With checksums off: pg_checksums --enable."
)


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """CRITICAL when a database counted a failure; UNKNOWN when checksums are off, because nothing is measured then."""
    findings = Findings(__name__)
    state = ServerState.of(system.database)
    rows = system.database.rows(load_sql("health/checksum_failures"))
    if not rows[0]["enabled"]:
        findings.skip(state.name, "data checksums are off, so damage is not measured")
        return findings.conclude("Checksum failures are not measured.", tool=state.tool)
    findings.saw(state.name)
    state.note_young_statistics(findings, settings)
    total = sum(row["failures"] for row in rows)
    findings.measure("checksum failures", total)
    for row in rows:
        if row["failures"]:
            findings.found(
                Verdict.CRITICAL,
                f"{row['database_name']} had {row['failures']} wrong checksums, the last at {row['last_failure']}.",
            )
    return findings.conclude(
        f"No checksum failed in {len(rows)} databases over {state.statistics_hours:.0f} h.", tool=state.tool
    )
