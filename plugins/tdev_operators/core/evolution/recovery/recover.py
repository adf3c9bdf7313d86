"""Recovering a stalled evolution: stop, clear what dead engines left, start, resume, and wait for the proof.

One object does all steps of a run. Each may be called again by a retry, or by another worker after a kill -9: it goes
on where the journal in the backups bucket says. A step is noted there, and in the ledger, before it is taken. There is
no way back to a stalled evolution, and none is wanted; but an engine that was stopped is always started again.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from tdev_operators.core import evidence
from tdev_operators.core.errors import (
    InputError,
    PermanentError,
    ProofFailedError,
    TargetUnreachableError,
)
from tdev_operators.core.evolution.recovery.checkpoints import Checkpoint, look_at_checkpoints, usable
from tdev_operators.core.evolution.recovery.clearing import clear
from tdev_operators.core.evolution.recovery.decision import (
    Decision,
    RecoveryRequest,
    decide,
    is_stalled,
    needs_approval,
)
from tdev_operators.core.evolution.recovery.diagnosis import (
    Diagnosis,
    api_status,
    diagnose,
    generation_state,
    holder_named,
    hosts_of_service,
    waited_for,
)
from tdev_operators.core.evolution.recovery.ports import EvolutionPorts
from tdev_operators.core.evolution.recovery.proof import Floor
from tdev_operators.core.evolution.recovery.starting import each_of
from tdev_operators.core.evolution.recovery.watch import clock_of, watch
from tdev_operators.core.ports import Host
from tdev_operators.core.recovery.approvals import refuse_unapproved
from tdev_operators.core.recovery.journal import Journal
from tdev_operators.core.recovery.services import start_service, stop_service
from tdev_operators.core.settings import Settings

KIND = "evolution"  # of the journal's name
ITEM = "recover_evolution"
DECISION, APPROVAL, LOCKS, CHECKPOINT, FLOOR, RESUME, CURE = (
    *("decision", "approval", "locks", "checkpoint", "floor", "resume", "cure"),
)
_STOP, _START = "stop on ", "start on "
_ANSWERED, _UNAUTHORISED = 200, (401, 403)
_BUSY = (429, 502, 503, 504)  # nothing that a checkpoint could be blamed for
_CHECKPOINTS_TRIED = 3


class Recovery:
    """One run. `note` writes into the ledger before each step; `check` raises when the work is no longer ours."""

    def __init__(
        self,
        ports: EvolutionPorts,
        settings: Settings,
        request: RecoveryRequest,
        *,
        note: Callable[[str, Mapping[str, Any]], None] = lambda _event, _facts: None,
        progress: Callable[[str], None] = lambda _line: None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Read the journal; nothing is touched."""
        self._ports, self._settings, self.request = ports, settings, request
        self._rules = settings.evolution.recovery
        self._note, self._progress, self._check = note, progress, check
        bucket = settings.buckets.backups
        self.journal = Journal(ports.store, bucket, settings.system.name, request.recovery_id, clock=ports.clock)
        self._key = evidence.key_of(settings.system.name, ITEM, request.recovery_id, "diagnosis")

    @property
    def evidence_place(self) -> str:
        """Where the evidence stands, for people."""
        return f"s3://{self._settings.buckets.backups}/{self._key}"

    @property
    def is_half_done(self) -> bool:
        """Whether the engine was told to stop, and nobody knows that it was started again."""
        hosts = [entry.name for entry in hosts_of_service(self._settings)]
        return any(self._touched(_stop(host)) and self.journal.done(_start(host)) is None for host in hosts)

    @property
    def seen(self) -> Diagnosis | None:
        """The evidence that is kept; None when there is none."""
        kept = evidence.kept(self._ports.store, self._settings.buckets.backups, self._key)
        return Diagnosis.of(kept) if kept is not None else None

    def diagnose(self) -> tuple[Diagnosis, Decision]:
        """Look, keep the evidence, and decide. A retry finds the first evidence, whatever has changed since."""
        kept = self.seen
        if kept is None:
            found = diagnose(self._ports, self._settings).to_json()
            kept = Diagnosis.of(evidence.keep(self._ports.store, self._settings.buckets.backups, self._key, found))
        decision = decide(kept, self._settings, self.request)
        if not self.request.dry_run and self.journal.last(DECISION) is None:
            facts = {"go": decision.go, "why": decision.why, "todo": decision.todo, "evidence": self._key}
            self.journal.note(DECISION, "done", **facts)
        return kept, decision

    def note_approvals(self, approved_by: list[str]) -> None:
        """Write down who approved."""
        if self.journal.done(APPROVAL) is None:
            self.journal.note(APPROVAL, "done", by=approved_by)

    def note_refusal(self, why: str) -> None:
        """Write down that it was not approved."""
        self.journal.note(APPROVAL, "refused", why=why)

    def act(self) -> bool:
        """Stop, clear, start, resume. Return whether there is something to wait for.

        Raises:
            AccessDeniedError: nobody approved. ProofFailedError: there is no evidence.
            TransientError: a host, the database or the API is away; a retry goes on.
        """
        if self.journal.last(CURE) is not None:
            return False
        decision = self.journal.done(DECISION)
        if decision is None or not decision["go"]:
            raise InputError("This run has decided on nothing to do; start a new one.")
        if not self._begun and not self._may_begin():
            return False
        hosts = self._hosts()
        for host in hosts:
            self._stop(host)
        self._clear(hosts)
        self._choose_checkpoint()
        self._start(hosts)
        self._resume()
        return True

    def wait(self) -> None:
        """Wait for real generations, and note whether they came. Nothing is raised when they do not: it is noted.

        Raises:
            TransientError: the database is away for longer than the wait; a retry goes on.
        """
        if self.journal.last(CURE) is not None:
            return
        floor = self.journal.done(FLOOR)
        if floor is None:
            raise InputError("The engine was not started in this run; start a new one.")
        watched = watch(
            self._ports,
            self._settings,
            Floor.of(floor, self._rules.generation_of((self.journal.done(RESUME) or {}).get("checkpoint", ""))),
            wanted=self._rules.generations_to_see,
            progress=self._progress,
            check=self._check,
        )
        if watched.why:
            self.journal.note(CURE, "failed", why=watched.why, todo=watched.todo, generations=watched.generations)
        else:
            self.journal.note(CURE, "done", generations=watched.generations)

    def settle(self) -> str:
        """Start an engine that a run which ended early has left stopped; return what was done, a sentence.

        The run then stands where it stood before the stop: when it is cleared, it begins there anew.

        Raises what starting it raises, after it was tried on every host.
        """
        if not self.is_half_done:
            return "Nothing of this run is half-done."
        # Whatever is to be known of the database: an engine that stands still is worse. And whatever the others do.
        each_of(partial(self._start_again, entry.name) for entry in hosts_of_service(self._settings))
        return f"{self._rules.service} was left stopped and was started again."

    def _start_again(self, name: str) -> None:
        """Start it on one host, and take back in the journal what no longer holds once it runs there."""
        if name not in self._ports.system.hosts:
            raise InputError(f"There is no way to reach host {name}; check its entry in [[hosts]].")
        start_service(self._ports.system.hosts[name], self._settings, self._rules.service)
        for step in (
            LOCKS,
            CHECKPOINT,
            FLOOR,
            _start(name),
            _stop(name),
        ):  # the last: with it, it is no longer half-done
            if self._touched(step):
                self.journal.note(step, "undone")

    @property
    def _begun(self) -> bool:
        return any(self._touched(_stop(entry.name)) for entry in hosts_of_service(self._settings))

    def _touched(self, step: str) -> bool:
        """Whether a step was begun, and not taken back since."""
        last = self.journal.last(step)
        return last is not None and last.event != "undone"

    def _may_begin(self) -> bool:
        """Look again right before: an approval takes hours. Return whether there is still something to do."""
        if needs_approval(self._settings, self._ports.clock()):
            approved = (self.journal.done(APPROVAL) or {}).get("by", [])
            refuse_unapproved(self._settings.recovery, self.request.requested_by, approved, 1)
        if self.seen is None:
            raise ProofFailedError("There is no evidence of how it was before; nothing was touched. Start a new run.")
        state = generation_state(self._ports, self._settings)
        if not is_stalled(state, self._settings) and not self.request.force:
            before = any(entry.step.startswith(_STOP) for entry in self.journal.entries)
            how = (
                "The evolution goes on since an earlier try" if before else "Nothing was touched. It goes on by itself"
            )
            self.journal.note(CURE, "done", generations=[], by_itself=f"{how}: generation {state['generation']} came.")
            return False
        status = api_status(self._ports)["status"]
        if status not in self._rules.running_states and not self.request.although_stopped:
            raise InputError(
                f"The evolution is {status} over the API by now, so somebody wanted that; nothing was touched."
            )
        if foreign := waited_for(self._ports, self._settings):
            raise InputError(
                f"The engine waits for a lock of {holder_named(foreign[0])}, which lives; nothing was touched. End "
                "that first."
            )
        return True

    def _hosts(self) -> list[Host]:
        names = [entry.name for entry in hosts_of_service(self._settings)]
        return [self._ports.system.hosts[name] for name in names]

    def _stop(self, host: Host) -> None:
        step, service = _stop(host.name), self._rules.service
        if self.journal.done(step) is not None:
            return
        self._check()
        if not self._touched(step):
            self.journal.note(step, "intended")
        self._note("evolution_stop", {"service": service, "host": host.name})
        stop_service(host, self._settings, service, seconds=self._rules.stop_seconds)
        self.journal.note(step, "done", at=clock_of(self._ports).isoformat())
        self._progress(f"{service} on {host.name} is stopped")

    def _clear(self, hosts: list[Host]) -> None:
        if self.journal.done(LOCKS) is not None or self.journal.done(FLOOR) is not None:
            return
        self._check()
        stopped_at = {host.name: (self.journal.done(_stop(host.name)) or {})["at"] for host in hosts}
        found = clear(self._ports, self._settings, hosts, stopped_at, self._note)
        for line in (*found.ended, *found.kept):
            self._progress(line)
        self.journal.note(LOCKS, "done", cleared=list(found.ended), kept=list(found.kept))

    def _choose_checkpoint(self) -> None:
        if self.journal.done(CHECKPOINT) is not None:
            return
        highest = generation_state(self._ports, self._settings)["highest"] or 0
        try:
            found = look_at_checkpoints(
                self._ports.system.objects, self._settings.buckets.checkpoints, self._rules, highest
            )
        except PermanentError as error:
            self.journal.note(CHECKPOINT, "done", keys=[], skipped=[f"none could be listed: {error}"])
            return
        keys = [one.key for one in usable(found)]
        newest = next((one.generation for one in found if not one.fault), -1)
        skipped = [_skipped(one) for one in found if one.fault and one.generation > newest]
        self.journal.note(CHECKPOINT, "done", keys=keys[:_CHECKPOINTS_TRIED], skipped=skipped)
        for line in skipped:
            self._progress(line)

    def _start(self, hosts: list[Host]) -> None:
        if self.journal.done(FLOOR) is None:
            # While it is stopped nobody makes generations: what comes above this, or is newer than all of it, is new.
            self.journal.note(FLOOR, "done", **Floor.facts(generation_state(self._ports, self._settings)))
        for host in hosts:
            step, service = _start(host.name), self._rules.service
            if self.journal.done(step) is not None:
                continue
            self._check()
            self._note("evolution_start", {"service": service, "host": host.name})
            start_service(host, self._settings, service)
            self.journal.note(step, "done")
            self._progress(f"{service} on {host.name} runs")

    def _resume(self) -> None:
        if self.journal.last(RESUME) is not None:
            return
        chosen = self.journal.done(CHECKPOINT) or {"keys": []}
        refused: list[str] = []
        for key in (*chosen["keys"], ""):
            self._check()
            body = self._rules.body_for(key) if key else None
            self._note("evolution_resume", {"checkpoint": key})
            try:
                answer = self._ports.api.post(self._rules.resume_path, body)
            except PermanentError as error:
                refused.append(str(error))
                continue
            if answer.status == _ANSWERED:
                self.journal.note(RESUME, "done", checkpoint=key, refused=refused)
                self._progress(f"resumed from {key or 'where the database stands'}")
                return
            if answer.status in _BUSY:
                raise TargetUnreachableError(
                    f"{self._ports.api.name} answered {answer.status} when it was to resume the evolution; see its log."
                )
            if answer.status in _UNAUTHORISED:
                refused.append(f"{self._ports.api.name} refuses our token (status {answer.status})")
                break
            refused.append(f"{key or 'no checkpoint'}: status {answer.status}")
        self.journal.note(RESUME, "failed", refused=refused)


def _stop(host: str) -> str:
    return f"{_STOP}{host}"


def _start(host: str) -> str:
    return f"{_START}{host}"


def _skipped(one: Checkpoint) -> str:
    return f"{one.key} was skipped: {one.fault}"
