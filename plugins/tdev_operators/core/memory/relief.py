"""Relieving hosts of high memory: evidence first, the gentlest act first, and each proven by what is in use afterwards.

What was done may be done again by a retry, or by another worker after a kill -9: it goes on where the journal in the
backups bucket says. There is no way back to what a service held in its memory; one that was stopped is always started.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from tdev_operators.core import evidence
from tdev_operators.core.errors import CommandFailedError, InputError, TdevError
from tdev_operators.core.evolution.recovery.diagnosis import api_status, generation_state
from tdev_operators.core.evolution.recovery.ports import EvolutionPorts
from tdev_operators.core.evolution.recovery.proof import Floor
from tdev_operators.core.evolution.recovery.starting import each_of
from tdev_operators.core.evolution.recovery.watch import watch
from tdev_operators.core.maintenance_window import is_open
from tdev_operators.core.memory.plan import RESTART, Act, acts_of, is_high
from tdev_operators.core.memory.seeing import look, settled, used_percent
from tdev_operators.core.ports import Host
from tdev_operators.core.recovery.approvals import refuse_unapproved
from tdev_operators.core.recovery.journal import Journal
from tdev_operators.core.recovery.services import start_service, stop_service
from tdev_operators.core.settings import Settings

KIND = "memory"  # of the journal's name
ITEM = "relieve_memory"
DECISION, APPROVAL, GENERATION, FLOOR = "decision", "approval", "generation", "floor"


@dataclass(frozen=True, slots=True)
class ReliefRequest:
    """One relief. `recovery_id` is the same in every try of it; `hosts` are those that it is about, none: all.

    `force` acts although memory is not high.
    """

    recovery_id: str
    requested_by: str = ""
    hosts: tuple[str, ...] = ()
    force: bool = False
    dry_run: bool = True


class Relief:
    """One run. `note` writes into the ledger before each act; `check` raises when the work is no longer ours."""

    def __init__(
        self,
        ports: EvolutionPorts,
        settings: Settings,
        request: ReliefRequest,
        *,
        note: Callable[[str, Mapping[str, Any]], None] = lambda _event, _facts: None,
        progress: Callable[[str], None] = lambda _line: None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Read the journal; nothing is touched.

        Raises:
            InputError: the request names a host that is none of the settings'.
        """
        self._ports, self._settings, self.request = ports, settings, request
        self._rules, self._note, self._progress, self._check = settings.memory_relief, note, progress, check
        known = [entry.name for entry in settings.hosts]
        if strangers := [name for name in request.hosts if name not in known]:
            raise InputError(f"{strangers[0]!r} is none of [[hosts]]; write one of {', '.join(known)}, or none.")
        bucket = settings.buckets.backups
        self.journal = Journal(ports.store, bucket, settings.system.name, request.recovery_id, clock=ports.clock)
        self._key = evidence.key_of(settings.system.name, ITEM, request.recovery_id, "before")

    @property
    def evidence_place(self) -> str:
        """Where the evidence stands, for people."""
        return f"s3://{self._settings.buckets.backups}/{self._key}"

    @property
    def seen(self) -> dict[str, Any] | None:
        """The evidence that is kept: `taken_at`, `hosts`, `failed`; None when there is none."""
        return evidence.kept(self._ports.store, self._settings.buckets.backups, self._key)

    def diagnose(self) -> tuple[Act, ...]:
        """Look at every host, keep the evidence, and decide what is done. A retry finds the first evidence."""
        kept = self.seen
        if kept is None:
            hosts, failed = look(self._ports.system, self._settings)
            found = {"format": 1, "taken_at": self._ports.clock().isoformat(), "hosts": hosts, "failed": failed}
            kept = evidence.keep(self._ports.store, self._settings.buckets.backups, self._key, found)
        acts = self.acts(kept)
        if not self.request.dry_run and self.journal.last(DECISION) is None:
            self.journal.note(DECISION, "done", acts=[act.step for act in acts], evidence=self._key)
        return acts

    def acts(self, kept: Mapping[str, Any]) -> tuple[Act, ...]:
        """Return what the evidence calls for."""
        wanted = self.request.hosts or tuple(kept["hosts"])
        return tuple(
            act
            for name, seen in kept["hosts"].items()
            if name in wanted and (self.request.force or is_high(seen, self._settings))
            for act in acts_of(name, seen, self._settings)
        )

    def needs_approval(self, acts: tuple[Act, ...]) -> bool:
        """Whether a person has to allow it now: a restart, outside the maintenance window."""
        restarts = any(act.kind == RESTART for act in acts)
        closed = not is_open(self._settings.system.maintenance_window, self._ports.clock())
        return restarts and self._rules.approve_restart and closed

    def note_approvals(self, approved_by: list[str]) -> None:
        """Write down who approved."""
        if self.journal.done(APPROVAL) is None:
            self.journal.note(APPROVAL, "done", by=approved_by)

    def note_refusal(self, why: str) -> None:
        """Write down that it was not approved."""
        self.journal.note(APPROVAL, "refused", why=why)

    @property
    def begun(self) -> bool:
        """Whether something may have been done."""
        return any(entry.step.startswith((RESTART, "drop", "stop")) for entry in self.journal.entries)

    @property
    def is_half_done(self) -> bool:
        """Whether a service was told to stop, and nobody knows that it was started again."""
        return bool(self._left_stopped())

    def act(self) -> None:
        """Do what the evidence calls for, host by host, until memory is no longer high.

        Raises:
            AccessDeniedError: nobody approved. TransientError: a host or the database is away; a retry goes on.
        """
        kept = self.seen
        if kept is None or self.journal.done(DECISION) is None:
            raise InputError("There is no evidence of how it was before; nothing was touched. Start a new run.")
        acts = self.acts(kept)
        if not self.begun and self.needs_approval(acts):
            approved = (self.journal.done(APPROVAL) or {}).get("by", [])
            refuse_unapproved(self._settings.recovery, self.request.requested_by, approved, 1)
        for act in acts:
            if self.journal.last(act.step) is None or self.journal.last(act.step).event == "intended":  # type: ignore[union-attr]
                self._do(act)

    def wait(self) -> None:
        """Wait for the evolution's next generation where its engine was restarted; note whether it came.

        Raises:
            TransientError: the database is away for longer than the wait; a retry goes on.
        """
        floor = self.journal.done(FLOOR)
        if floor is None or self.journal.last(GENERATION) is not None:
            return
        with suppress(TdevError):
            status = api_status(self._ports)["status"]
            if status not in self._settings.evolution.recovery.running_states:
                self.journal.note(GENERATION, "done", generations=[], stopped=status)
                return
        watched = watch(
            self._ports,
            self._settings,
            Floor.of(floor),
            wanted=1,
            progress=self._progress,
            check=self._check,
        )
        event: Any = "failed" if watched.why else "done"
        self.journal.note(GENERATION, event, generations=watched.generations, why=watched.why, todo=watched.todo)

    def settle(self) -> str:
        """Start what a run that ended early has left stopped; return what was done, a sentence.

        The run then stands where it stood before the stop: when it is cleared, it begins there anew.

        Raises what starting raises, after every one was tried.
        """
        left = self._left_stopped()
        each_of(partial(self._start_again, act) for act in left)
        named = ", ".join(act.service for act in left)
        return f"{named} was left stopped and was started again." if left else "Nothing is half-done."

    def _start_again(self, act: Act) -> None:
        start_service(self._host(act), self._settings, act.service)
        for step in (FLOOR, _start(act), _stop(act)):  # the last: with it, the act is no longer half-done
            if self._touched(step):
                self.journal.note(step, "undone")

    def _left_stopped(self) -> list[Act]:
        kept = self.seen
        acts = self.acts(kept) if kept else ()
        return [act for act in acts if self._touched(_stop(act)) and self.journal.done(_start(act)) is None]

    def _touched(self, step: str) -> bool:
        """Whether a step was begun, and not taken back since."""
        last = self.journal.last(step)
        return last is not None and last.event != "undone"

    def _do(self, act: Act) -> None:
        self._check()
        host = self._host(act)
        last = self.journal.last(act.step)
        if last is None:
            before = used_percent(host)
            limit = self._settings.health.infrastructure.memory_used_percent.warning
            if before < limit and not self.request.force:
                self.journal.note(act.step, "refused", used_percent=before, why="memory is no longer high")
                return
            self.journal.note(act.step, "intended", used_percent=before)
        else:
            before = last.facts["used_percent"]
        self._note(f"memory_{act.kind}", {"host": act.host, "service": act.service, "used_percent": before})
        if act.kind == RESTART:
            self._restart(act, host)
        else:
            self._drop(host)
        after = settled(host, self._settings)
        self.journal.note(act.step, "done", used_percent=before, after_percent=after)
        self._progress(f"{act.told} on {act.host}: {before:.1f} % before, {after:.1f} % after")

    def _drop(self, host: Host) -> None:
        for argv in (self._rules.flush, self._rules.drop):
            ended = host.run(list(argv), timeout_seconds=120.0)
            if ended.exit_status != 0:
                said = (ended.stderr or ended.stdout).strip().splitlines()
                raise CommandFailedError(
                    f"`{argv[0]}` on {host.name} ended with status {ended.exit_status} "
                    f"({said[-1][:200] if said else 'it said nothing'}); see what it lacks."
                )

    def _restart(self, act: Act, host: Host) -> None:
        service = act.service
        if self.journal.done(_stop(act)) is None:
            if not self._touched(_stop(act)):
                self.journal.note(_stop(act), "intended")
            stop_service(host, self._settings, service, seconds=self._settings.evolution.recovery.stop_seconds)
            self.journal.note(_stop(act), "done")
        if self.journal.done(_start(act)) is None:
            self._note_floor(act)
            start_service(host, self._settings, service)
            self.journal.note(_start(act), "done")

    def _note_floor(self, act: Act) -> None:
        """Note where the evolution stands while its engine does not run: what comes above that number is new."""
        if act.service != self._settings.evolution.recovery.service or self.journal.done(FLOOR) is not None:
            return
        with suppress(TdevError):  # without the database there is no proof, and the engine is started all the same
            self.journal.note(FLOOR, "done", **Floor.facts(generation_state(self._ports, self._settings)))

    def _host(self, act: Act) -> Host:
        if act.host not in self._ports.system.hosts:
            raise InputError(f"There is no way to reach host {act.host}; check its entry in [[hosts]].")
        return self._ports.system.hosts[act.host]


def _stop(act: Act) -> str:
    return f"stop {act.service} on {act.host}"


def _start(act: Act) -> str:
    return f"start {act.service} on {act.host}"
