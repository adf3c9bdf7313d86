"""Whether every public name has an address."""

from collections.abc import Callable

from tdev_operators.core.errors import TdevError
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.side_by_side import side_by_side
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("dns",)
HINT = "Ask the name servers of the zone directly: `dig +trace <name>`; then check the record and the domain's expiry."


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """CRITICAL when a name does not exist, UNKNOWN when the resolver does not answer."""
    findings = Findings(__name__)

    def resolution(name: str) -> Callable[[], tuple[str, ...]]:
        return lambda: system.resolver.resolve(name)

    names = {entry.name: resolution(entry.name) for entry in settings.public_names}
    found = []
    for name, addresses in side_by_side(names, at_most=8).items():
        if isinstance(addresses, TdevError):
            findings.skip(name, str(addresses))
            continue
        findings.saw(name)
        found.append(f"{name} is {', '.join(addresses)}")
        if not addresses:
            findings.found(Verdict.CRITICAL, f"{name} has no address.")
    return findings.conclude(f"{'; '.join(found)}.", tool=f"resolver {settings.dns.resolver}")
