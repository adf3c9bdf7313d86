"""Tuning as operators (guide: Performance Tuning): the weekly comparison, and applying what is recommended by hand."""

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowSkipException

from tdev_operators.operators.approval import PeopleApprovalOperator, approved_by, requester_of
from tdev_operators.operators.base import MaintenanceOperator, ref_of
from tdev_operators.operators.quiet import quiet
from tdev_operators.operators.work import ItemWorkOperator, Job, close_by_hand, recovering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.sdk import Context

    from tdev_operators.core.database.tuning.apply import Tuning
    from tdev_operators.core.database.tuning.plan import TuningRequest
    from tdev_operators.core.database.tuning.ports import TuningPorts
    from tdev_operators.core.items import ItemOutcome
    from tdev_operators.hooks.reporting import ReportingPorts

ITEM = "apply_tuning"


def tuning_form() -> dict[str, Param]:
    """Return the trigger form's fields."""
    names: dict[str, Any] = {"type": ["array", "null"], "items": {"type": "string"}, "uniqueItems": True}
    return {
        "dry_run": Param(
            True,
            type="boolean",
            title="Dry run",
            description="Print the exact statements and what would refuse them, and change nothing.",
        ),
        "reload": Param(
            True, type="boolean", title="Reload", description="The database's settings that a reload makes count."
        ),
        "restart": Param(
            False,
            type="boolean",
            title="Restart",
            description="Those that need a restart of the database: in the maintenance window, approved by another.",
        ),
        "application": Param(
            False, type="boolean", title="Application", description="The application's own, over its API."
        ),
        "settings": Param(
            None,
            **names,
            title="Settings",
            description="Only these, by name (work_mem, cache_ttl, ...); empty: all that differ of the kinds above.",
        ),
        "now": Param(
            False,
            type="boolean",
            title="Now",
            description="Restart outside the maintenance window. Whoever approves is told.",
        ),
        "undo": Param(
            "",
            type=["string", "null"],
            title="Undo",
            description="The id of a former run, as its report says: its changes are taken back, and the fields for "
            "kinds and names play no part.",
        ),
    }


class TuningCompareOperator(ItemWorkOperator):
    """Compares what is recommended with what the files hold and what runs; measures the last change's effect."""

    def do(self, job: Job) -> "ItemOutcome":
        """Return what differs."""
        from tdev_operators.core.database.tuning.weekly import compare  # noqa: PLC0415  not while parsing
        from tdev_operators.hooks.assembly import airflow_connections  # noqa: PLC0415
        from tdev_operators.hooks.tuning_assembly import tuning_ports  # noqa: PLC0415

        with tuning_ports(job.settings, airflow_connections()) as ports:
            return compare(ports, job.settings, job.ports.ledger, progress=self.log.info)


class _StepOperator(MaintenanceOperator):
    """One step of a run. The system's recovery lease is held meanwhile: no restore or failover runs beside it."""

    def step(self, opened: "_Opened", context: "Context") -> dict[str, Any]:
        """Do it and return small JSON."""
        raise NotImplementedError

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return small JSON."""
        with _opened(context, self.log.info) as opened:
            return self.step(opened, context)


class TuningLookOperator(_StepOperator):
    """Decides what to change and prints it; refuses what cannot be, and whom the settings do not name."""

    def step(self, opened: "_Opened", context: "Context") -> dict[str, Any]:
        """Return what would be done, line by line, and whether it needs a restart."""
        from tdev_operators.core.database.tuning.outcome import dry_result  # noqa: PLC0415  not while parsing
        from tdev_operators.core.recovery.approvals import refuse_strangers  # noqa: PLC0415

        ports, tuning = opened.reporting, opened.tuning
        ports.ledger.open_item(ref_of(context, tier=ITEM, item=ITEM), ports.clock())
        refuse_strangers(ports.settings.recovery, tuning.request.requested_by)
        lines = tuning.look()
        for line in lines:
            self.log.info("%s", line)
        if tuning.request.dry_run:
            opened.close(context, dry_result(lines))
            return {"told": lines, "restarts": False}
        return {"told": lines, "restarts": bool(tuning.plan.of("restart"))}


class TuningApprovalOperator(PeopleApprovalOperator):
    """Asks a person of the settings whether the database may be restarted; nobody where it need not be."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(subject="Restart the database with other settings?", **kwargs)

    def question(self, context: "Context") -> str:
        """Return what the answer is about: the statements, and when."""
        found = context["ti"].xcom_pull(task_ids=f"{ITEM}.look") or {}
        if not found.get("restarts"):
            raise AirflowSkipException("Nothing needs a restart: nobody is asked.")
        told = "\n".join(f"    {line}" for line in found["told"])
        when = "**now, outside the maintenance window**" if context["params"]["now"] else "in the maintenance window"
        return (
            f"{requester_of(context)} asks to restart the database {when}. Every session ends. When it does not come "
            f"up with the new values, the former file is put back and it is started with that.\n\n{told}"
        )

    def note_refusal(self, context: "Context", why: str) -> None:
        """Note it in the journal and in the ledger."""
        with _opened(context, self.log.info) as opened:
            opened.tuning.note_refusal(why)
            opened.reporting.ledger.journal(ref_of(context, tier=ITEM, item=ITEM), "refused", {"why": why})


class TuningApplyOperator(_StepOperator):
    """Changes what counts after a reload, and the application; each is proven by effect or taken back."""

    def __init__(self, *, approvals: list[str], **kwargs: Any) -> None:
        super().__init__(trigger_rule="none_failed", **kwargs)
        self.approvals = approvals

    def step(self, opened: "_Opened", context: "Context") -> dict[str, Any]:
        """Return the names."""
        if opened.tuning.request.dry_run:
            raise AirflowSkipException("This is a dry run: nothing is touched.")
        if people := approved_by(context, self.approvals):
            opened.tuning.note_approvals(people)
        return {"changed": opened.tuning.apply(opened.sample)}


class TuningRestartOperator(_StepOperator):
    """Changes what counts after a restart, restarts the database and proves it; else its former file is put back."""

    def step(self, opened: "_Opened", context: "Context") -> dict[str, Any]:  # noqa: ARG002  who approved is noted
        """Return the names."""
        tuning = opened.tuning
        if not tuning.plan.of("restart"):
            raise AirflowSkipException("Nothing needs a restart.")
        with quiet(opened.reporting, tuning.request.tuning_id, "restarting the database with other settings"):
            return {"changed": tuning.restart()}


class TuningConcludeOperator(_StepOperator):
    """Says what is in force, what was taken back and what is half-done; records the outcome."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trigger_rule="all_done", **kwargs)

    def step(self, opened: "_Opened", context: "Context") -> dict[str, Any]:
        """Return the verdict."""
        from tdev_operators.core.database.tuning.outcome import result_of  # noqa: PLC0415  not while parsing

        tuning = opened.tuning
        if tuning.request.dry_run and not tuning.journal.entries:
            item = opened.reporting.ledger.item(ref_of(context, tier=ITEM, item=ITEM))
            if item is not None and item.outcome is not None:
                return {"verdict": item.outcome.verdict.value}
        result = result_of(tuning.journal, tuning.request.requested_by)
        opened.close(context, result)
        return {"verdict": result.verdict.value, "journal": tuning.journal.place}


class _Opened:
    """What a step works with."""

    def __init__(self, tuning: "Tuning", system: "TuningPorts", reporting: "ReportingPorts") -> None:
        self.tuning, self.reporting, self._system = tuning, reporting, system

    def sample(self) -> None:
        """Measure how the system is before a change, so that its effect can be seen a day later."""
        from tdev_operators.core.database.tuning.sampling import keep_before  # noqa: PLC0415  not while parsing

        keep_before(self.reporting.ledger, self._system, self.reporting.settings, self.tuning)

    def close(self, context: "Context", result: Any) -> None:
        """Record how the run ended."""
        close_by_hand(self.reporting, ref_of(context, tier=ITEM, item=ITEM), (result,))


@contextmanager
def _opened(context: "Context", progress: "Callable[[str], None]") -> "Iterator[_Opened]":
    from tdev_operators.core.database.tuning.apply import Tuning  # noqa: PLC0415  not while parsing
    from tdev_operators.hooks.assembly import airflow_connections  # noqa: PLC0415
    from tdev_operators.hooks.tuning_assembly import tuning_ports  # noqa: PLC0415

    request = request_of(context)
    ref = ref_of(context, tier=ITEM, item=ITEM)
    with (
        recovering(request.tuning_id) as (reporting, check),
        tuning_ports(reporting.settings, airflow_connections()) as system,
    ):
        tuning = Tuning(
            system,
            reporting.settings,
            request,
            note=lambda event, facts: reporting.ledger.journal(ref, event, facts),
            progress=progress,
            check=check,
        )
        yield _Opened(tuning, system, reporting)


def request_of(context: "Context") -> "TuningRequest":
    """Return what the form asks for."""
    from tdev_operators.core.database.tuning.apply import KIND  # noqa: PLC0415  not while parsing
    from tdev_operators.core.database.tuning.plan import TuningRequest  # noqa: PLC0415
    from tdev_operators.core.recovery.request import recovery_id_of  # noqa: PLC0415

    asked = context["params"]
    return TuningRequest(
        tuning_id=recovery_id_of(KIND, context["dag_run"].run_id),
        requested_by=requester_of(context),
        names=tuple(asked["settings"] or ()),
        reload=asked["reload"],
        restart=asked["restart"],
        application=asked["application"],
        undo=asked["undo"] or "",
        now=asked["now"],
        dry_run=asked["dry_run"],
    )
