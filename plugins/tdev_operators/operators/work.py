"""The work inside an item: recorded in the ledger, and never twice at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from tdev_operators.core.leases import refusal_when_lost
from tdev_operators.operators.base import MaintenanceOperator, ref_of, task_ports

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.sdk import Context

    from tdev_operators.core.items import ItemOutcome, ItemRef
    from tdev_operators.core.ports import SystemPorts
    from tdev_operators.core.settings import Settings
    from tdev_operators.core.verdicts import CheckResult
    from tdev_operators.hooks.reporting import ReportingPorts
    from tdev_operators.operators.items import Item


@dataclass(frozen=True, slots=True)
class Job:
    """One execution of an item's work: for which run, with which ports, and whether it is still ours (`check`).

    What is put into `returned` is part of the small JSON that the task returns.
    """

    context: "Context"
    ref: "ItemRef"
    ports: "ReportingPorts"
    check: Callable[[], None]
    returned: dict[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> "Settings":
        """The settings in force."""
        return self.ports.settings


class ItemWorkOperator(MaintenanceOperator):
    """Base of the operators that do an item's work: one core call between opening and closing the item in the ledger.

    Put it into an `Item`, and write `work`, or `do` where the ports of the maintained system are not enough. The item
    is leased meanwhile, so that a run on another worker, or another Airflow, waits.
    """

    def work(self, system: "SystemPorts", settings: "Settings") -> "ItemOutcome":
        """Do the work on the maintained system and return what was found."""
        raise NotImplementedError

    def do(self, job: Job) -> "ItemOutcome":
        """Do the work with everything that an execution knows. As it stands: `work` on the maintained system."""
        from tdev_operators.hooks.assembly import airflow_connections, system_ports  # noqa: PLC0415  not while parsing

        return self.work(system_ports(job.settings, airflow_connections()), job.settings)

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return small JSON: the verdict, how many results it rests on, and what the work adds."""
        ports = task_ports()
        group = cast("Item", self.task_group)
        ref = ref_of(context, tier=group.calendar.tier, item=group.name)
        with ports.ledger.lease(f"item:{ref.item}", f"{ref.dag_id} {ref.run_id}") as lease:
            ports.ledger.open_item(ref, ports.clock())
            check = refusal_when_lost(lease, ref.item)
            job = Job(context, ref, ports, check)
            outcome = self.do(job)
            check()
            ports.ledger.close_item(ref, outcome)
        return {"verdict": outcome.verdict.value, "results": len(outcome.results), **job.returned}


@contextmanager
def holding(
    name: str, holder: str, ports: "ReportingPorts | None" = None, *, or_else_nothing: bool = False
) -> "Iterator[tuple[ReportingPorts, Callable[[], None]]]":
    """Hold a lease of the ledger while the block runs.

    Yields the ports (as it stands: the task's), and what raises a BusyError once the lease is lost. With a ledger that
    is down the block runs without protection; `or_else_nothing` raises instead, for what must never run twice at once.
    """
    ports = ports or task_ports()
    ledger = ports.ledger.primary if or_else_nothing else ports.ledger
    with ledger.lease(name, holder) as lease:
        yield ports, refusal_when_lost(lease, name)


@contextmanager
def recovering(holder: str, *, or_else_nothing: bool = False) -> "Iterator[tuple[ReportingPorts, Callable[[], None]]]":
    """Hold the system's recovery lease: no two restores, drills or failovers at once.

    Yields what `holding` does; a lease that was lost meanwhile is an error at the end, too.
    """
    reporting = task_ports()
    name = f"recovery:{reporting.settings.system.name}"
    with holding(name, holder, reporting, or_else_nothing=or_else_nothing) as (ports, check):
        yield ports, check
        check()


def began(ports: "ReportingPorts", ref: "ItemRef", otherwise: "datetime | None" = None) -> "datetime":
    """Return when an item that people start was opened; without an attempt in the ledger `otherwise`, or now."""
    begun = ports.ledger.item(ref)
    return begun.started_at if begun else otherwise or ports.clock()


def close_by_hand(
    ports: "ReportingPorts", ref: "ItemRef", results: "tuple[CheckResult, ...]", otherwise: "datetime | None" = None
) -> "ItemOutcome":
    """Record how an item ended whose steps are tasks of their own; it began as `began` says. Return the outcome.

    One that ended before, and whose last task was cleared since, ends anew: as an attempt of its own that begins now.
    """
    from tdev_operators.core.items import ItemOutcome  # noqa: PLC0415  not while parsing

    known, started_at = ports.ledger.item(ref), began(ports, ref, otherwise)
    if known is not None and known.ended_at is not None:
        started_at = ports.clock()
        ports.ledger.open_item(ref, started_at)
    outcome = ItemOutcome(results, started_at, ports.clock())
    ports.ledger.close_item(ref, outcome)
    return outcome
