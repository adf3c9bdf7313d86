"""How many of the blocks that queries asked for were in shared buffers."""

from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.server_state import ServerState
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult

NEEDS: tuple[str, ...] = ("database",)
HINT = "SELECT relname, heap_blks_read FROM pg_statio_user_tables ORDER BY 2 DESC LIMIT 10; look for missing indexes."


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """Hold the hit ratio of this database since its last reset against its limit; a small sample is UNKNOWN."""
    limits = settings.health.database
    findings = Findings(__name__)
    state = ServerState.of(system.database)
    state.note_young_statistics(findings, settings)
    row = system.database.rows(load_sql("health/cache_hit_ratio"))[0]
    asked = row["hits"] + row["reads"]
    findings.measure("blocks asked for", asked)
    if asked < max(limits.cache_minimum_blocks, 1):
        findings.skip("hit ratio", f"{asked:,} blocks were asked for, {limits.cache_minimum_blocks:,} are needed")
        return findings.conclude("Too little was read to judge.", tool=state.tool)
    findings.saw(state.name)
    ratio = 100 * row["hits"] / asked
    verdict = findings.measure("cache hit ratio", round(ratio, 2), "%", limits.cache_hit_percent)
    sentence = f"{ratio:.1f} % of {asked:,} blocks were in shared buffers (over {state.statistics_hours:.0f} h)."
    findings.found(verdict, sentence)
    return findings.conclude(sentence, tool=state.tool)
