"""How many agents come near the system's limits, or are beyond them."""

from dataclasses import replace

from tdev_operators.core.application.day import ApplicationDay
from tdev_operators.core.errors import AccessDeniedError
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult, Verdict

HINT = "`agent_optimization` of each Wednesday makes them smaller; its report says which it could not, and why."
KIND = "application.agents"


def look(day: ApplicationDay) -> CheckResult:
    """Hold the agents beyond a limit, and the share of those that are near the size limit, against the settings."""
    rules = day.settings.agents
    findings = Findings("performance.agents")
    binds = {
        "near_kb": rules.near_limit_kb,
        "max_size_kb": rules.max_size_kb,
        "max_instantiation_us": rules.max_instantiation_us,
    }
    today = day.system.database.rows(load_sql("application/agents"), binds)[0]
    if today.pop("rows_hidden"):
        raise AccessDeniedError("Row security hides rows of agents; give our role BYPASSRLS.")
    if not today["sized"]:
        return findings.conclude("No agent with a size is registered.")
    findings.saw("agents")
    share = 100 * today["near"] / today["sized"]
    today["near_percent"] = share
    before = day.before(KIND)
    day.keep(KIND, today)
    findings.measure("agents near the size limit", today["near"])
    findings.measure("largest agent", today["largest_kb"], "KB")
    findings.measure("slowest instantiation", today["slowest_us"], "us")
    beyond = today["too_large"] + today["too_slow"]
    verdict = findings.measure("agents beyond a limit", beyond, "", day.settings.health.evolution.constraint_violations)
    findings.found(verdict, f"{today['too_large']} agents are too large and {today['too_slow']} too slow.")
    limit = day.settings.health.agents.near_limit_warning_percent
    usual = day.usual(before, "near_percent")
    compared = f", usually {usual:.0f} %" if usual is not None else ""
    sentence = (
        f"{today['near']} of {today['registered']} agents ({share:.0f} %{compared}) are above {rules.near_limit_kb:g} "
        f"KB; the largest has {today['largest_kb']:.2f} KB, their mean is {today['mean_kb']:.2f} KB."
    )
    findings.measure("share near the size limit", round(share, 1), "%")
    if share > limit:
        findings.found(Verdict.WARNING, f"{sentence} More than {limit:g} % is a drift towards the limit.")
    series = day.trend("agents near the size limit", "%", before, today, "near_percent", limit)
    series += day.trend("mean size of an agent", "KB", before, today, "mean_kb", rules.max_size_kb)
    return replace(findings.conclude(sentence), series=series)
