"""What procedures have in common that stop and start the evolution's engine: one at a time, and never left stopped."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from airflow.sdk.exceptions import AirflowSkipException

from tdev_operators.operators.approval import approved_by
from tdev_operators.operators.base import MaintenanceOperator, ref_of, task_ports
from tdev_operators.operators.work import close_by_hand, holding, recovering

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tdev_operators.core.evolution.recovery.ports import EvolutionPorts
    from tdev_operators.core.recovery.journal import Journal
    from tdev_operators.core.settings import Settings
    from tdev_operators.core.verdicts import CheckResult
    from tdev_operators.hooks.reporting import ReportingPorts

# With our back-off about two hours: longer than a drill, a failover or a tuning holds the lease that is waited for.
_TRIES_WHILE_BUSY = 15
_TRIES = 3  # for everything else: an engine that stands still must be told soon


@dataclass(frozen=True, slots=True)
class EngineWork:
    """What such a procedure works with: `note` writes into the ledger, `check` raises once a lease is lost."""

    ports: "EvolutionPorts"
    reporting: "ReportingPorts"
    request: Any
    note: Callable[[str, Mapping[str, Any]], None]
    progress: Callable[[str], None]
    check: Callable[[], None]


class EngineProcedure(Protocol):
    """A procedure in steps that its journal remembers: done again, each goes on where it was."""

    journal: "Journal"
    request: Any  # with a `recovery_id`

    @property
    def is_half_done(self) -> bool:
        """Whether something was stopped, and nobody knows that it was started again."""

    def note_approvals(self, approved_by: list[str]) -> None:
        """Write down who approved."""

    def note_refusal(self, why: str) -> None:
        """Write down that it was not approved."""

    def act(self) -> object:
        """Stop, do, start."""

    def wait(self) -> None:
        """Wait for the proof, if there is something to wait for."""

    def settle(self) -> str:
        """Start what was left stopped; say what was done."""


P = TypeVar("P", bound=EngineProcedure)


class EngineTask(Generic[P]):
    """What the tasks of one procedure share: mix it into each. `item` names the procedure, and its group."""

    item: ClassVar[str]
    log: Any

    def request(self, context: "Context") -> Any:
        """Return what the form asks for."""
        raise NotImplementedError

    def procedure(self, work: EngineWork) -> P:
        """Return the procedure, as its journal stands."""
        raise NotImplementedError

    def diagnosed(self, context: "Context") -> dict[str, Any]:
        """Return what `diagnose` handed on."""
        return context["ti"].xcom_pull(task_ids=f"{self.item}.diagnose") or {}

    @contextmanager
    def opened(
        self, context: "Context", *, alone: bool = False, or_else_nothing: bool = False
    ) -> "Iterator[tuple[P, ReportingPorts]]":
        """Open the procedure; `alone` also holds the lease of the engine: no two runs stop and start it at once.

        `holding` says what `or_else_nothing` is.
        """
        from tdev_operators.hooks.assembly import airflow_connections  # noqa: PLC0415  not while parsing
        from tdev_operators.hooks.evolution_assembly import evolution_ports  # noqa: PLC0415

        ref, run = ref_of(context, tier=self.item, item=self.item), context["dag_run"]
        reporting, check = task_ports(), lambda: None
        with ExitStack() as held:
            if alone:
                name, holder = f"evolution:{reporting.settings.system.name}", f"{run.dag_id} {run.run_id}"
                _, check = held.enter_context(holding(name, holder, reporting, or_else_nothing=or_else_nothing))
            work = EngineWork(
                held.enter_context(evolution_ports(reporting.settings, airflow_connections())),
                reporting,
                self.request(context),
                lambda event, facts: reporting.ledger.journal(ref, event, facts),
                self.log.info,
                check,
            )
            yield self.procedure(work), reporting

    def note_refusal(self, context: "Context", why: str) -> None:
        """Note in the journal and in the ledger that it was not approved."""
        with self.opened(context) as (procedure, ports):
            procedure.note_refusal(why)
            ports.ledger.journal(ref_of(context, tier=self.item, item=self.item), "refused", {"why": why})


class EngineActOperator(EngineTask[P], MaintenanceOperator):
    """Base of the task that stops and starts, and waits for the proof. Done again, it goes on where it was.

    The recovery lease is held while it acts, and not while it waits: a restore is more urgent than that.
    """

    def __init__(self, *, approvals: list[str], **kwargs: Any) -> None:
        super().__init__(trigger_rule="none_failed", **kwargs)
        self.approvals = approvals

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return where the journal stands."""
        if not self.diagnosed(context).get("acts"):
            raise AirflowSkipException("Nothing is to be done.")
        with self.opened(context, alone=True, or_else_nothing=True) as (procedure, _):
            if people := approved_by(context, self.approvals):
                procedure.note_approvals(people)
            with recovering(procedure.request.recovery_id, or_else_nothing=True):
                procedure.act()
            procedure.wait()
            return {"journal": procedure.journal.place}


class EngineConcludeOperator(EngineTask[P], MaintenanceOperator):
    """Base of the task that starts what was left stopped, judges, and records the outcome."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trigger_rule="all_done", **{"retries": _TRIES_WHILE_BUSY, **kwargs})

    def results(self, procedure: P, settings: "Settings", left_stopped: str) -> "Sequence[CheckResult]":
        """Return what came of it; `left_stopped` is why something could not be started again, or empty."""
        raise NotImplementedError

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return the verdict and its sentence."""
        with self.opened(context) as (procedure, _):
            half_done = procedure.is_half_done
        why = self._settled(context) if half_done else ""
        with self.opened(context) as (procedure, ports):
            results = tuple(self.results(procedure, ports.settings, why))
            outcome = close_by_hand(ports, ref_of(context, tier=self.item, item=self.item), results)
        return {"verdict": outcome.verdict.value, "summary": outcome.results[0].summary}

    def _settled(self, context: "Context") -> str:
        """Settle what a run has left; return why that was impossible, once there is no other try: that is told, too.

        Who holds a needed lease is waited for as long as the task has retries, and anything else for a few only.

        Raises:
            TransientError: it did not work, and will be tried again.
        """
        from tdev_operators.core.errors import BusyError, TdevError  # noqa: PLC0415  not while parsing

        try:
            # While nobody else is at work: what a restore has stopped must not be started under it.
            with (
                self.opened(context, alone=True) as (procedure, _),
                recovering(procedure.request.recovery_id),
            ):
                self.log.warning("%s", procedure.settle())
        except TdevError as error:
            retries = self.retries or 0
            tries = retries if isinstance(error, BusyError) else min(retries, _TRIES)
            if error.retryable and context["ti"].try_number <= tries:
                raise
            return str(error)
        return ""
