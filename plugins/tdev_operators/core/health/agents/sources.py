"""Whether every registered agent has its source in the bucket, and every source its agent."""

from tdev_operators.core.health.agent_registry import registered_agents
from tdev_operators.core.health.findings import Findings, some
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("database", "objects")
HINT = (
    "Put a missing source back from the last good back-up set; remove a source without agent only after asking "
    "who wrote it. If all are missing, compare [health.agents] source_key with the bucket's keys."
)

# A bucket that something else fills has millions.
_ORPHANS_KEPT = 1000


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """CRITICAL when an agent has no source, WARNING when a source has no agent."""
    findings = Findings(__name__)
    agents = registered_agents(system, settings)
    bucket = settings.buckets.agents
    # The registry is held in memory and the bucket streams past it: stores do not all list in the order of keys.
    missing = {agent.source_key for agent in agents}
    registered = len(missing)
    orphans: list[str] = []
    more_orphans = 0
    seen = 0
    for info in system.objects.list(bucket):
        seen += 1
        if info.key in missing:
            missing.discard(info.key)
        elif len(orphans) < _ORPHANS_KEPT:
            orphans.append(info.key)
        else:
            more_orphans += 1
    if missing or orphans:
        # An agent that was born or retired between the two looks is no finding.
        now = {agent.source_key for agent in registered_agents(system, settings)}
        missing &= now
        orphans = [key for key in orphans if key not in now]
    if registered:
        findings.saw("agents", f"s3://{bucket}")
    findings.measure("registered agents", registered)
    findings.measure("sources", seen)
    findings.measure("agents without source", len(missing))
    ownerless = len(orphans) + more_orphans
    findings.measure("sources without agent", ownerless)
    if missing:
        findings.found(
            Verdict.CRITICAL,
            f"{len(missing)} of {registered} agents lack their source in {bucket}: {some(sorted(missing))}.",
        )
    if ownerless:
        named = some(orphans, of=ownerless)
        findings.found(Verdict.WARNING, f"{ownerless} sources in {bucket} belong to no agent: {named}.")
    return findings.conclude(
        f"All {registered} registered agents have their source in {bucket}, and no other is there."
    )
