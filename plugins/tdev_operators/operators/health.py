"""The daily health check as an operator (guide: System Health Checks)."""

from typing import TYPE_CHECKING

from tdev_operators.operators.work import ItemWorkOperator

if TYPE_CHECKING:
    from tdev_operators.core.items import ItemOutcome
    from tdev_operators.core.ports import SystemPorts
    from tdev_operators.core.settings import Settings


class HealthCheckOperator(ItemWorkOperator):
    """Runs the six areas of the health check at once and records what they found."""

    def work(self, system: "SystemPorts", settings: "Settings") -> "ItemOutcome":
        """Return the outcome of all checks; a check that crashes is UNKNOWN and the others still run."""
        from tdev_operators.core.health.run import run_health_check  # noqa: PLC0415  not while parsing

        return run_health_check(system, settings, progress=self.log.info)
