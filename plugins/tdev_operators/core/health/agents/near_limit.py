"""How many agents come close to the size limit."""

from tdev_operators.core.health.agent_registry import registered_agents
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("database",)
HINT = "They are candidates for optimisation: SELECT name, version, size_kb FROM agents ORDER BY size_kb DESC LIMIT 20;"


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """WARNING when more than the allowed share of all agents is near the limit: the population drifts towards it."""
    rules, share_limit = settings.agents, settings.health.agents.near_limit_warning_percent
    findings = Findings(__name__)
    sizes = [agent.size_kb for agent in registered_agents(system, settings) if agent.size_kb is not None]
    if not sizes:
        return findings.conclude("No agent with a size is registered.")
    findings.saw("agents")
    near = sum(rules.near_limit_kb < size <= rules.max_size_kb for size in sizes)
    share = 100 * near / len(sizes)
    findings.measure("agents near the limit", near)
    findings.measure("share of agents near the limit", round(share, 2), "%")
    sentence = f"{near} of {len(sizes)} agents ({share:.0f} %) are above {rules.near_limit_kb:g} KB but allowed."
    if share > share_limit:
        findings.found(Verdict.WARNING, f"{sentence} More than {share_limit:g} % is a drift towards the limit.")
    return findings.conclude(sentence)
