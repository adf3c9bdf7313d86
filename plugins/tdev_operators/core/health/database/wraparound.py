"""Age of transaction and multixact ids: tables (with TOAST) and databases, against autovacuum and the failsafe."""

from operator import itemgetter

from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.server_state import ServerState
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.setting_types import Ceiling
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult

NEEDS: tuple[str, ...] = ("database",)
HINT = (
    "VACUUM (FREEZE, VERBOSE) the oldest table; if its age stays, see who holds the xmin horizon (long_transactions). "
    "A temporary table only its own session can vacuum; another database is vacuumed from inside it."
)

# Writes stop about 3 million before 2^31; no limit of ours may lie beyond this.
_LAST_MOMENT = 2_000_000_000


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """WARNING when autovacuum is not keeping up, CRITICAL well before the failsafe."""
    rules = settings.health.database
    findings = Findings(__name__)
    state = ServerState.of(system.database)
    rows = system.database.rows(load_sql("health/wraparound"))
    findings.saw(state.name)
    limits = {
        kind: _limits(rows[0][f"{kind}_freeze_max_age"], rows[0][f"{kind}_failsafe_age"], settings)
        for kind in ("xid", "multixact")
    }
    oldest = {kind: max(rows, key=itemgetter(f"{kind}_age")) for kind in limits}
    for row in rows:
        for kind, ceiling in limits.items():
            age, who = row[f"{kind}_age"], f"{row['kind']} {row['name']}"
            if row is not oldest[kind] and age < ceiling.warning:
                continue
            verdict = findings.measure(f"{who} {kind} age", age, "", ceiling)
            findings.found(
                verdict,
                f"The {who} is {age:,} {kind}s old; autovacuum should freeze at "
                f"{row[f'{kind}_freeze_max_age']:,} and writes stop at 2.1 billion.",
            )
    top = oldest["xid"]
    return findings.conclude(
        f"Of {rows[0]['looked_at']} tables and databases the oldest is {top['kind']} {top['name']} with "
        f"{top['xid_age']:,} transactions, {top['multixact_age']:,} multixacts; WARNING is at "
        f"{limits['xid'].warning:,.0f} and {limits['multixact'].warning:,.0f} "
        f"({rules.freeze_overdue_percent:g} % of autovacuum_freeze_max_age).",
        tool=state.tool,
    )


def _limits(freeze_max_age: int, failsafe_age: int, settings: Settings) -> Ceiling:
    rules = settings.health.database
    overdue = freeze_max_age * rules.freeze_overdue_percent / 100
    # Where autovacuum is set to act late, an age that it still allows is not critical.
    critical = min(max(failsafe_age * rules.failsafe_percent / 100, overdue), _LAST_MOMENT)
    return Ceiling(warning=min(overdue, critical), critical=critical)
