"""Sequences that come close to their last value, or to that of the column they feed."""

from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.server_state import ServerState
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult

NEEDS: tuple[str, ...] = ("database",)
HINT = "Move the column to bigint in time (fill a new one in batches, then swap); ALTER SEQUENCE <name> AS bigint."


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """Hold the used share of each sequence's range against its limit."""
    findings = Findings(__name__)
    state = ServerState.of(system.database)
    rows = system.database.rows(load_sql("health/sequence_exhaustion"))
    findings.saw(state.name)
    limits = settings.health.database.sequence_used_percent
    if rows and rows[0]["hidden"]:
        findings.skip(
            f"{rows[0]['hidden']} sequences",
            f"our role may not read them, grant it pg_read_all_data: {rows[0]['first_hidden']}",
        )
    readable = [row for row in rows if row["readable"]]
    if not readable:
        return findings.conclude("There is no sequence.", tool=state.tool)
    fullest = readable[0]
    findings.measure("sequences", fullest["total"])
    findings.measure("fullest sequence used", round(fullest["used_percent"], 2), "%", limits)
    for row in readable:
        name, share = row["sequence_name"], row["used_percent"]
        if share >= limits.warning:
            verdict = findings.measure(f"{name} used", round(share, 2), "%", limits)
            findings.found(
                verdict,
                f"Sequence {name} has used {share:.0f} % of the values up to {row['last_possible']} ({row['feeds']}).",
            )
    return findings.conclude(
        f"Of {fullest['total']} sequences the fullest is {fullest['sequence_name']} "
        f"with {fullest['used_percent']:.2f} %.",
        tool=state.tool,
    )
