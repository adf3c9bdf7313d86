"""The failover as operators (guide: Failover Procedures). Every task opens the same journal and does one step of it."""

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowSkipException

from tdev_operators.operators.approval import PeopleApprovalOperator, approved_by, requester_of
from tdev_operators.operators.base import MaintenanceOperator, ref_of
from tdev_operators.operators.quiet import begin_quiet, end_quiet
from tdev_operators.operators.work import close_by_hand, recovering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.sdk import Context

    from tdev_operators.core.failover.failover import Failover
    from tdev_operators.core.failover.request import FailoverRequest
    from tdev_operators.hooks.reporting import ReportingPorts

ITEM = "failover"


def failover_form() -> dict[str, Param]:
    """Return the trigger form's fields."""
    return {
        "to": Param("", type="string", minLength=1, title="To", description="The side that shall serve."),
        "planned": Param(
            True,
            type="boolean",
            title="Planned",
            description="The old side works, and nothing may be lost. Untick when it is down or half-dead: what has "
            "not reached the new side is lost.",
        ),
        "attested_off": Param(
            False,
            type="boolean",
            title="Attested off",
            description="I have seen the old side off with my own eyes. It is noted with your name, and believed only "
            "where nothing can prove it.",
        ),
        "slots": Param(
            False, type="boolean", title="Slots", description="Accept that logical replication slots start over."
        ),
        "rehearse": Param(
            False, type="boolean", title="Rehearse", description="Look at every step on both sides, and take none."
        ),
    }


class _StepOperator(MaintenanceOperator):
    """One step. The system's recovery lease is held meanwhile; the journal's epoch is what keeps two runs apart."""

    is_rehearsed = False  # whether a rehearsal does it too

    def step(self, failover: "Failover", ports: "ReportingPorts", context: "Context") -> dict[str, Any]:
        """Do it and return small JSON."""
        raise NotImplementedError

    def execute(self, context: "Context") -> dict[str, Any]:
        """Return small JSON."""
        if context["params"].get("rehearse") and not self.is_rehearsed:
            raise AirflowSkipException("This is a rehearsal: nothing is touched.")
        with _opened(context, self.log.info) as (failover, ports):
            return self.step(failover, ports, context)


class FailoverLookOperator(_StepOperator):
    """Looks at both sides and says what would happen; refuses what cannot be, and whom the settings do not name."""

    is_rehearsed = True

    def step(self, failover: "Failover", ports: "ReportingPorts", context: "Context") -> dict[str, Any]:
        """Return what there is to know, for the approval."""
        from tdev_operators.core.recovery.approvals import refuse_strangers  # noqa: PLC0415  not while parsing

        ports.ledger.open_item(ref_of(context, tier=ITEM, item=ITEM), ports.clock())
        refuse_strangers(ports.settings.recovery, failover.request.requested_by)
        told = failover.look()
        for line in told:
            self.log.info("%s", line)
        return {"from": failover.old.name, "to": failover.new.name, "told": told}


class FailoverApprovalOperator(PeopleApprovalOperator):
    """Asks a person of the settings whether the other side shall serve."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(subject="Fail over to the other side?", **kwargs)

    def question(self, context: "Context") -> str:
        """Return what the answer is about: from where, to where, and what is lost."""
        params = context["params"]
        if params.get("rehearse"):
            raise AirflowSkipException("This is a rehearsal: nobody is asked.")
        found = context["ti"].xcom_pull(task_ids=f"{ITEM}.look") or {}
        told = "\n".join(f"- {line}" for line in found.get("told", ()))
        loss = "Nothing is lost." if params["planned"] else "**What has not reached the new side is lost.**"
        word = "\n\n**They say that they have seen the old side off.**" if params["attested_off"] else ""
        return (
            f"{requester_of(context)} asks to fail over from {found.get('from')} to {found.get('to')}. {loss}{word}\n\n"
            "The old side is stopped and stays off. Until the new one is promoted, everything is taken back by "
            f"itself; from then on there is no way back but another failover.\n\n{told}"
        )

    def note_refusal(self, context: "Context", why: str) -> None:
        """Note it in the journal and in the ledger."""
        with _opened(context, self.log.info) as (failover, ports):
            failover.note_refusal(why)
            ports.ledger.journal(ref_of(context, tier=ITEM, item=ITEM), "refused", {"why": why})


class FailoverApprovedOperator(_StepOperator):
    """Notes who approved, after comparing the names once more."""

    def __init__(self, *, approvals: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.approvals = approvals

    def step(self, failover: "Failover", ports: "ReportingPorts", context: "Context") -> dict[str, Any]:
        """Return who approved."""
        people = approved_by(context, self.approvals)
        failover.note_approvals(people)
        facts = {"by": people, **failover.request.facts()}
        ports.ledger.journal(ref_of(context, tier=ITEM, item=ITEM), "approved", facts)
        return {"approved_by": people}


class FailoverFenceOperator(_StepOperator):
    """Turns the old side off for good, and sees that it is."""

    def step(self, failover: "Failover", ports: "ReportingPorts", context: "Context") -> dict[str, Any]:
        """Return how it is known to be off."""
        begin_quiet(ports, failover.request.recovery_id, f"failing over to {failover.new.name}")
        fenced = failover.fence()
        facts = {"side": failover.old.name, "how": fenced.how, "by": fenced.by}
        ports.ledger.journal(ref_of(context, tier=ITEM, item=ITEM), "fenced", facts)
        return facts


class FailoverSyncOperator(_StepOperator):
    """Waits until the standby has everything, and copies the buckets' last changes."""

    def step(self, failover: "Failover", ports: "ReportingPorts", context: "Context") -> dict[str, Any]:  # noqa: ARG002
        """Return the old side's last position."""
        return {"last": failover.sync()["last"]}


class FailoverPromoteOperator(_StepOperator):
    """Makes the standby the primary: the point of no return."""

    def step(self, failover: "Failover", ports: "ReportingPorts", context: "Context") -> dict[str, Any]:
        """Return the timeline."""
        facts = failover.promote()
        ports.ledger.journal(ref_of(context, tier=ITEM, item=ITEM), "promoted", {"side": failover.new.name, **facts})
        return {"timeline": facts["timeline"]}


class FailoverNamesOperator(_StepOperator):
    """Lets the names point to the new side, and waits until resolvers say so."""

    def step(self, failover: "Failover", ports: "ReportingPorts", context: "Context") -> dict[str, Any]:  # noqa: ARG002
        """Return what they resolve to."""
        return failover.switch_names()


class FailoverStartOperator(_StepOperator):
    """Starts the application of the new side."""

    def step(self, failover: "Failover", ports: "ReportingPorts", context: "Context") -> dict[str, Any]:  # noqa: ARG002
        """Return the services."""
        return {"services": failover.start()}


class FailoverVerifyOperator(_StepOperator):
    """Sees that the new side takes writes and serves, and that the old one is off still."""

    def step(self, failover: "Failover", ports: "ReportingPorts", context: "Context") -> dict[str, Any]:  # noqa: ARG002
        """Return the seconds since the fence was begun."""
        return {"seconds": failover.verify()["seconds"]}


class FailoverSettleOperator(_StepOperator):
    """Takes back what is half-done before the promotion, says how everything stands behind it; records the outcome."""

    is_rehearsed = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trigger_rule="all_done", **kwargs)

    def step(self, failover: "Failover", ports: "ReportingPorts", context: "Context") -> dict[str, Any]:
        """Return what was settled, and the verdict."""
        from tdev_operators.core.failover.told import results_of  # noqa: PLC0415  not while parsing

        settled = failover.settle()
        end_quiet(ports, failover.request.recovery_id)
        self.log.info("%s", settled)
        ref, results = ref_of(context, tier=ITEM, item=ITEM), results_of(failover.journal, settled)
        outcome = close_by_hand(ports, ref, results, otherwise=failover.journal.entries[0].at)
        return {"settled": settled, "verdict": outcome.verdict.value, "journal": failover.journal.place}


@contextmanager
def _opened(context: "Context", progress: "Callable[[str], None]") -> "Iterator[tuple[Failover, ReportingPorts]]":
    from tdev_operators.core.failover.failover import Failover  # noqa: PLC0415  not while parsing
    from tdev_operators.hooks.assembly import airflow_connections  # noqa: PLC0415
    from tdev_operators.hooks.failover_assembly import failover_ports  # noqa: PLC0415

    request = request_of(context)
    with (
        recovering(request.recovery_id) as (ports, check),
        failover_ports(ports.settings, airflow_connections()) as sides,
    ):
        bystander = ports.ledger.cluster()
        yield Failover(sides, ports.settings, request, progress=progress, check=check, bystander=bystander), ports


def request_of(context: "Context") -> "FailoverRequest":
    """Return what the form asks for.

    Raises:
        InputError: the fields contradict each other.
    """
    from tdev_operators.core.failover.failover import KIND  # noqa: PLC0415  not while parsing
    from tdev_operators.core.failover.request import FailoverRequest  # noqa: PLC0415
    from tdev_operators.core.recovery.request import recovery_id_of  # noqa: PLC0415

    asked = context["params"]
    return FailoverRequest(
        recovery_id=recovery_id_of(KIND, context["dag_run"].run_id),
        to=asked["to"],
        requested_by=requester_of(context),
        planned=asked["planned"],
        attested_off=asked["attested_off"],
        slots=asked["slots"],
        rehearse=asked["rehearse"],
    )
