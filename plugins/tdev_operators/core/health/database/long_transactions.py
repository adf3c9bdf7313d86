"""Transactions that are open for long, and who holds back the xmin horizon."""

from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.server_state import ServerState
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult

NEEDS: tuple[str, ...] = ("database",)
HINT = (
    "A session: ask its owner, then SELECT pg_terminate_backend(<pid>). An index build: let it end. "
    "A prepared transaction: COMMIT or ROLLBACK PREPARED. A slot: bring its reader back or drop it. "
    "A standby: hot_standby_feedback lets its queries hold it."
)


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """Hold the age of open transactions, in minutes and in transactions held back from VACUUM, against limits.

    Idle counts from the last statement on, and not for pg_dump and ourselves. VACUUM holds nothing back and is left
    out; a concurrent index build is judged by what it holds back only.
    """
    limits = settings.health.database
    findings = Findings(__name__)
    state = ServerState.of(system.database)
    state.require_all_sessions()
    holders = system.database.rows(load_sql("health/long_transactions"))
    findings.saw(state.name)
    for row in holders:
        who = f"{row['kind']} {row['holder']}"
        for figure, where, by_time in (
            ("open", "in a transaction", limits.transaction_minutes),
            ("idle", "idle in a transaction", limits.idle_in_transaction_minutes),
        ):
            if (seconds := row[f"{figure}_seconds"]) is not None:
                verdict = findings.measure(f"{who} {figure}", round(seconds / 60, 2), "min", by_time)
                findings.found(verdict, f"The {who} has been {where} for {seconds / 60:.0f} min.")
        if row["xmin_age"] is not None:
            verdict = findings.measure(f"{who} xmin age", row["xmin_age"], "transactions", limits.xmin_age_transactions)
            findings.found(
                verdict, f"The {who} keeps VACUUM from removing what died in the last {row['xmin_age']:,} transactions."
            )
    findings.measure("open transactions and slots", holders[0]["total"] if holders else 0)
    oldest = max(holders, key=lambda row: row["xmin_age"] or 0, default=None)
    if oldest is None:
        return findings.conclude("No transaction is open.", tool=state.tool)
    return findings.conclude(
        f"{oldest['total']} open transactions and slots; furthest back is the {oldest['kind']} {oldest['holder']}, "
        f"by {oldest['xmin_age'] or 0:,} transactions.",
        tool=state.tool,
    )
