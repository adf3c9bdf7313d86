"""What procedures have in common that stop and start the evolution's engine: one at a time, and never left stopped."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tdev_operators.operators.base import MaintenanceOperator, ref_of, task_ports
from tdev_operators.operators.work import holding

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tdev_operators.core.evolution.recovery.ports import EvolutionPorts
    from tdev_operators.hooks.reporting import ReportingPorts

# With our back-off about two hours: longer than a drill, a failover or a tuning holds the lease that is waited for.
TRIES_WHILE_BUSY = 15
_TRIES = 3  # for everything else: an engine that stands still must be told soon


@dataclass(frozen=True, slots=True)
class EngineWork:
    """What such a procedure works with: `note` writes into the ledger, `check` raises once a lease is lost."""

    ports: "EvolutionPorts"
    reporting: "ReportingPorts"
    note: Callable[[str, Mapping[str, Any]], None]
    check: Callable[[], None]


@contextmanager
def at_the_engine(
    context: "Context", item: str, *, alone: bool = False, or_else_nothing: bool = False
) -> Iterator[EngineWork]:
    """Open the ports; `alone` also holds the lease of the engine, so that no two runs stop and start it at once.

    `holding` says what `or_else_nothing` is.
    """
    from tdev_operators.hooks.assembly import airflow_connections  # noqa: PLC0415  not while parsing
    from tdev_operators.hooks.evolution_assembly import evolution_ports  # noqa: PLC0415

    ref, run = ref_of(context, tier=item, item=item), context["dag_run"]
    reporting, check = task_ports(), lambda: None
    with ExitStack() as held:
        if alone:
            name = f"evolution:{reporting.settings.system.name}"
            holder = f"{run.dag_id} {run.run_id}"
            _, check = held.enter_context(holding(name, holder, reporting, or_else_nothing=or_else_nothing))
        ports = held.enter_context(evolution_ports(reporting.settings, airflow_connections()))
        yield EngineWork(ports, reporting, lambda event, facts: reporting.ledger.journal(ref, event, facts), check)


def settled(context: "Context", task: MaintenanceOperator, settle: Callable[[], str]) -> str:
    """Settle what a run has left; return why that was impossible, once there is no other try: that must be told, too.

    Who holds a lease that is needed is waited for as long as the task has retries, and anything else for a few only.

    Raises:
        TransientError: it did not work, and will be tried again.
    """
    from tdev_operators.core.errors import BusyError, TdevError  # noqa: PLC0415  not while parsing

    try:
        task.log.warning("%s", settle())
    except TdevError as error:
        retries = task.retries or 0
        tries = retries if isinstance(error, BusyError) else min(retries, _TRIES)
        if error.retryable and context["ti"].try_number <= tries:
            raise
        return str(error)
    return ""
