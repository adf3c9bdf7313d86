"""Agents above the size or the instantiation time that the system allows."""

from tdev_operators.core.health.agent_registry import Agent, registered_agents
from tdev_operators.core.health.findings import Findings, some
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("database", "objects")
HINT = (
    "Take them out of the population or optimise them: "
    "SELECT name, version, size_kb, instantiation_us FROM agents ORDER BY size_kb DESC LIMIT 20;"
)

_BYTES_PER_KB = 1024


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """CRITICAL when an agent breaks a limit by registry or by bucket, WARNING when the two disagree on a size."""
    rules, tolerance = settings.agents, settings.health.agents.size_tolerance_kb
    findings = Findings(__name__)
    agents = registered_agents(system, settings)
    stored = {info.key: info.size_bytes / _BYTES_PER_KB for info in system.objects.list(settings.buckets.agents)}
    if agents:
        findings.saw("agents", f"s3://{settings.buckets.agents}")

    def size(agent: Agent) -> float:
        return max(agent.size_kb or 0.0, stored.get(agent.source_key, 0.0))

    heavy = [f"{agent.label} ({size(agent):.2f} KB)" for agent in agents if size(agent) > rules.max_size_kb]
    slow = [
        f"{agent.label} ({agent.instantiation_us:.2f} us)"
        for agent in agents
        if agent.instantiation_us is not None and agent.instantiation_us > rules.max_instantiation_us
    ]
    unequal = [
        f"{agent.label} ({agent.size_kb:.2f} KB registered, {stored[agent.source_key]:.2f} KB stored)"
        for agent in agents
        if agent.size_kb is not None
        and agent.source_key in stored
        and abs(stored[agent.source_key] - agent.size_kb) > tolerance
    ]
    unmeasured = [agent.label for agent in agents if agent.size_kb is None or agent.instantiation_us is None]
    findings.measure("agents above the size limit", len(heavy))
    findings.measure("agents above the instantiation limit", len(slow))
    findings.measure("agents registered with another size than stored", len(unequal))
    size_rule, speed_rule = f"{rules.max_size_kb:g} KB", f"{rules.max_instantiation_us:g} us"
    if heavy:
        findings.found(Verdict.CRITICAL, f"{len(heavy)} agents are above {size_rule}: {some(heavy)}.")
    if slow:
        findings.found(Verdict.CRITICAL, f"{len(slow)} agents take more than {speed_rule}: {some(slow)}.")
    if unequal:
        findings.found(Verdict.WARNING, f"{len(unequal)} agents have another size than registered: {some(unequal)}.")
    if unmeasured:
        findings.skip(f"{len(unmeasured)} agents", f"never measured: {some(unmeasured)}")
    return findings.conclude(f"All {len(agents)} agents keep to {size_rule} and {speed_rule}.")
