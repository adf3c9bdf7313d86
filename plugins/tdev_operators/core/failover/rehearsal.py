"""The failover that a drill rehearses: every step is looked at on both sides, and none is taken."""

from collections.abc import Callable

from tdev_operators.core.errors import TdevError, TransientError
from tdev_operators.core.failover.failover import KIND, Failover
from tdev_operators.core.failover.ports import FailoverPorts
from tdev_operators.core.failover.request import FailoverRequest
from tdev_operators.core.failover.settings import Side
from tdev_operators.core.failover.sides import look
from tdev_operators.core.recovery.request import recovery_id_of
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Coverage, Verdict

CHECK = "drill.failover"
_HINT = "Mend what it says: until then nobody can fail over there. Then: tdev failover {side} --rehearse"


def rehearse_failover(
    ports: FailoverPorts,
    settings: Settings,
    drill_id: str,
    *,
    progress: Callable[[str], None] = lambda _: None,
    bystander: str = "",
) -> CheckResult:
    """Look at a failover to the side that does not serve now; CRITICAL when it could not be done.

    The look is journalled as `failover-of-<drill>`; `bystander` as `Failover` has it.
    """
    side = _idle(ports, settings)
    planned = settings.failover.database == "replica"
    request = FailoverRequest(recovery_id_of(KIND, f"of-{drill_id}"), side.name, planned=planned, rehearse=True)
    try:
        told = Failover(ports, settings, request, progress=progress, bystander=bystander).look()
    except TdevError as error:
        summary = f"Nobody could fail over to {side.name} now: {error}"
        hint = _HINT.format(side=side.name)
        return CheckResult(CHECK, Verdict.CRITICAL, summary, hint=hint, coverage=Coverage(seen=(side.name,)))
    summary = f"A failover to {side.name} was rehearsed: {'; '.join(told)}."
    return CheckResult(CHECK, Verdict.OK, summary, coverage=Coverage(seen=(side.name,)))


def _idle(ports: FailoverPorts, settings: Settings) -> Side:
    """Return the side that does not serve: the standby, or the one that no name points to; else the second."""
    first, second = settings.failover.sides
    if settings.failover.database == "replica":
        try:
            return first if look(ports, first).in_recovery else second
        except TransientError:
            return second  # whose look says what is wrong
    names = settings.failover.dns.names
    if ports.names is not None and names and ports.names.address_of(names[0]) == second.address:
        return first
    return second
