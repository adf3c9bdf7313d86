"""The work inside an item: recorded in the ledger, and never twice at once."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, cast

from tdev_operators.core.errors import BusyError
from tdev_operators.operators.base import MaintenanceOperator, ref_of, task_ports

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tdev_operators.core.items import ItemOutcome
    from tdev_operators.core.ports import SystemPorts
    from tdev_operators.core.settings import Settings
    from tdev_operators.operators.items import Item


class ItemWorkOperator(MaintenanceOperator):
    """Base of the operators that do an item's work: one core call between opening and closing the item in the ledger.

    Put it into an `Item`. The item is leased meanwhile, so that a run on another worker, or another Airflow, waits.
    """

    @abstractmethod
    def work(self, system: "SystemPorts", settings: "Settings") -> "ItemOutcome":
        """Do the work and return what was found."""

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return small JSON: the verdict and how many results it rests on."""
        from tdev_operators.hooks.assembly import airflow_connections, system_ports  # noqa: PLC0415  not while parsing

        ports = task_ports()
        group = cast("Item", self.task_group)
        ref = ref_of(context, tier=group.calendar.tier, item=group.name)
        with ports.ledger.lease(f"item:{ref.item}", f"{ref.dag_id} {ref.run_id}") as lease:
            ports.ledger.open_item(ref, ports.clock())
            outcome = self.work(system_ports(ports.settings, airflow_connections()), ports.settings)
            if lease.lost:
                raise BusyError(
                    f"The lease of {ref.item} was lost while it ran, so that another run may have done it too."
                )
            ports.ledger.close_item(ref, outcome)
        return {"verdict": outcome.verdict.value, "results": len(outcome.results)}
