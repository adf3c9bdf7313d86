"""A failover from its request to the new side's service (guide: Failover Procedures), step by step.

    look        both sides are what they should be; nothing is touched
    fence       the old side's application and server are off and stay off
    sync        the standby has everything (planned), and the buckets' last changes are copied
    promote     the standby becomes the primary: from here on there is no way back but another failover
    names       DNS points to the new side, and resolvers say so
    start       the application of the new side runs
    verify      it takes writes, its API answers, and the old side is still off

Each step reads the world before and after it acts, because a timeout says nothing; each may be done again, by another
worker. What was done stands in the journal, in the backups bucket, which neither side's server has a part in.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from tdev_operators.core.errors import BusyError, InputError, TargetTimeoutError, TdevError, TransientError
from tdev_operators.core.failover.epoch import Epochs
from tdev_operators.core.failover.fence import (
    BY_UNIT,
    Fenced,
    is_up,
    lower_fence,
    raise_fence,
    refuse_living,
)
from tdev_operators.core.failover.from_set import FromSet, bucket_from_set
from tdev_operators.core.failover.mirror import Mirrored, mirror
from tdev_operators.core.failover.ports import FailoverPorts
from tdev_operators.core.failover.replica import Replica
from tdev_operators.core.failover.request import FailoverRequest
from tdev_operators.core.failover.settings import Side
from tdev_operators.core.failover.sides import look
from tdev_operators.core.failover.takeover import Course, Takeover
from tdev_operators.core.failover.units import Units
from tdev_operators.core.recovery.approvals import refuse_unapproved
from tdev_operators.core.recovery.journal import Journal
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql

KIND = "failover"
ASKED, LOOKED, APPROVED = "asked", "look", "approval"
FENCE, SYNC, PROMOTE, NAMES, START, VERIFY, END = "fence", "sync", "promote", "names", "start", "verify", "end"
NEEDED = 1  # approvals

_POLL_SECONDS = 0.2
_MEGABYTE = 1_000_000
_ANSWERED = 200


class Failover:
    """One failover. Every method may be called again, and by a process that knows nothing of the others."""

    def __init__(
        self,
        ports: FailoverPorts,
        settings: Settings,
        request: FailoverRequest,
        *,
        progress: Callable[[str], None] = lambda _: None,
        check: Callable[[], None] = lambda: None,
        bystander: str = "",
    ) -> None:
        """Open the journal of `request.recovery_id`. `bystander` is the cluster whose lock the caller holds.

        Raises:
            InputError: the journal is that of another request, or there is no such side.
            SetupMissingError: the settings name no sides.
        """
        self.ports, self.settings, self.request = ports, settings, request
        self._progress, self._check = progress, check
        self.old, self.new = request.sides(settings.failover)
        self._course = Course(ports, settings, request, self.old, self.new, progress, check, bystander)
        ways: Mapping[str, Callable[[Course], Takeover]] = {"replica": Replica, "backup": FromSet}
        self._takeover = ways[settings.failover.database](self._course)
        self._epochs = Epochs(ports.store, settings.buckets.backups, settings.system.name)
        self.journal = self._journal_of(request.recovery_id)
        asked = self.journal.done(ASKED)
        if asked is None:
            self.journal.note(ASKED, "done", **request.facts())
        elif FailoverRequest.of_facts(asked) != request:
            raise InputError(f"The failover {request.recovery_id} was begun with another request; begin a new one.")

    def look(self) -> list[str]:
        """Look whether it can be done, without touching anything; return what there is to know, a sentence each.

        Raises:
            InputError: the sides are not what a failover needs.
            TransientError: the new side cannot be reached.
        """
        prospect = self._takeover.look()
        units = Units(self.ports, self.settings, self.new)
        for service in (self.new.database_service, *self.new.services):
            units.runs(service)  # the host obeys
        told = [*prospect.told, *self._looked_at_buckets()]
        told += [self._name_told(name) for name in self.settings.failover.dns.names if self.ports.names]
        self.journal.note(LOOKED, "done", **{**asdict(prospect), "told": told})
        return told

    def note_approvals(self, people: Sequence[str]) -> None:
        """Note who approved.

        Raises:
            AccessDeniedError: nobody of the settings who may.
        """
        refuse_unapproved(self.settings.recovery, self.request.requested_by, people, NEEDED)
        self.journal.note(APPROVED, "done", by=sorted(set(people)))

    def note_refusal(self, why: str) -> None:
        """Note that it was not approved."""
        self.journal.note(APPROVED, "refused", why=why)

    def fence(self) -> Fenced:
        """Turn the old side off for good.

        Raises:
            AccessDeniedError: nobody approved.
            BusyError: another failover is under way.
            InputError: nothing proves that it is off.
            TransientError: nobody knows how it is; try again.
        """
        approved = self.journal.done(APPROVED)
        refuse_unapproved(self.settings.recovery, self.request.requested_by, approved["by"] if approved else (), NEEDED)
        self._refuse_ended()
        self._epochs.claim(self.request.recovery_id, self._has_ended)
        if (noted := self.journal.done(FENCE)) is not None:
            return Fenced(noted["how"], noted["by"])
        if (last := self.journal.last(FENCE)) is not None and last.facts.get("lowered"):
            raise InputError(f"{self.old.name} is being brought back; settle this failover, and begin a new one.")
        if self.journal.last(FENCE) is None:
            self.journal.note(FENCE, "intended", side=self.old.name)
        fenced = raise_fence(self.ports, self.settings, self.old, self.request, self._progress)
        self.journal.note(FENCE, "done", **asdict(fenced))
        return fenced

    def sync(self) -> dict[str, Any]:
        """Wait until the standby has everything, and copy the buckets' last changes.

        Raises:
            InputError: the old side did not shut down as it should have.
            TargetTimeoutError: the standby does not catch up.
        """
        self._own()
        if (noted := self.journal.done(SYNC)) is not None:
            return dict(noted)
        self.journal.note(SYNC, "intended")
        database = self._takeover.catch_up(self._looked(), self.journal)
        facts = {**database, "buckets": {name: asdict(self._mirror(name)) for name in self.old.buckets}}
        self.journal.note(SYNC, "done", **facts)
        return facts

    def promote(self) -> dict[str, Any]:
        """Make the standby the primary, and prove that its history goes on where the old side's ended.

        Raises:
            InputError: the fence does not hold, or the histories do not meet.
            TransientError: nobody knows whether it is promoted; try again: it is read back.
        """
        self._own()
        if (noted := self.journal.done(PROMOTE)) is not None:
            return dict(noted)
        synced = self.journal.done(SYNC)
        if synced is None:
            raise InputError("Nothing is promoted before the last changes are there; do the step sync first.")
        self._refuse_lowered_fence()
        self.journal.note(PROMOTE, "intended", side=self.new.name)  # a settle beside this is refused at its number
        if not self._takeover.is_promoted(synced):
            self._own()
            self._takeover.promote(synced)
        facts = self._takeover.promoted(synced)
        self.journal.note(PROMOTE, "done", **facts)
        self._progress(f"{self.new.name} is the primary")
        return facts

    def switch_names(self) -> dict[str, str]:
        """Let the names point to the new side, and wait until resolvers say so.

        Raises:
            TargetTimeoutError: a resolver still says something else after the names' time to live.
        """
        self._after_promotion()
        rules, names = self.settings.failover.dns, self.ports.names
        if (noted := self.journal.done(NAMES)) is not None:
            return dict(noted["names"])
        self.journal.note(NAMES, "intended", names=list(rules.names), address=self.new.address)
        told = {}
        for name in rules.names if names else ():
            if names is not None and names.address_of(name) != self.new.address:
                try:
                    names.point(name, self.new.address, rules.ttl_seconds)
                except TransientError as error:  # it may have been done all the same
                    self._progress(f"{name}: {error}")
                if names.address_of(name) != self.new.address:
                    raise TargetTimeoutError(f"{name} does not point to {self.new.name} yet; try again.")
            told[name] = self._await_resolved(name)
        self.journal.note(NAMES, "done", names=told)
        return told

    def start(self) -> list[str]:
        """Start the application of the new side.

        Raises:
            CommandFailedError: a service does not run.
        """
        self._after_promotion()
        units = Units(self.ports, self.settings, self.new)
        for service in self.new.services:
            self._own()
            units.start(service)
            self._progress(f"{service} of {self.new.name} runs")
        if self.journal.done(START) is None:
            failed = self._takeover.make_slots(self._looked())
            self.journal.note(START, "done", services=list(self.new.services), slots_failed=failed)
        return list(self.new.services)

    def verify(self) -> dict[str, Any]:
        """See that the new side takes writes and serves, and that the old one is off still.

        Raises:
            InputError: two sides could be written to, or the API does not serve.
            TransientError: the new side does not answer; try again.
        """
        self._after_promotion()
        if (noted := self.journal.done(VERIFY)) is not None:
            return dict(noted)
        self._refuse_lowered_fence()
        begun = self.journal.last(FENCE)
        with self.ports.database(self.new, "postgres").session(application_name="tdev-failover") as session:
            lsn = session.rows(load_sql("failover/writes"), {"recovery_id": self.request.recovery_id})[0]["lsn"]
        if self.new.api_connection:
            answer = self.ports.api(self.new).get("/health")
            if answer.status != _ANSWERED:
                raise InputError(f"The API of {self.new.name} answers {answer.status} to GET /health; see its log.")
        seconds = (self.ports.clock() - begun.at).total_seconds() if begun else 0.0
        facts = {"written_at": lsn, "seconds": round(seconds, 1)}
        self.journal.note(VERIFY, "done", **facts)
        self._end("done")
        return facts

    def settle(self) -> str:
        """Leave nothing half-done when it ended early; say what was, and what a human must do.

        Before the promotion was begun, everything is taken back. Behind it nothing is: a timeout may have promoted,
        and so may somebody's hand. That it is taken back is written down first, so that no other process promotes.

        Raises:
            BusyError: another process of this failover is at work, or another failover is.
            TransientError: nobody knows how a side is; settle it again.
        """
        self.journal = self._journal_of(self.request.recovery_id)  # what others wrote meanwhile counts
        fence, promoted = self.journal.last(FENCE), self.journal.last(PROMOTE)
        if self.journal.done(END) is not None or fence is None:
            return "There was nothing to settle."
        if promoted is not None or self._takeover.is_promoted(self.journal.done(SYNC) or {}):
            return self._told_half_way()
        if fence.event == "done" and fence.facts["how"] != BY_UNIT:
            self._end("given up")
            return (
                f"Nothing was promoted, and {self.old.name} is off ({fence.facts['how']}), so that nothing serves. Go "
                f"forward: clear the first red task. Or turn {self.old.name} on by hand and start a failover anew."
            )
        if fence.event != "undone":
            self._epochs.refuse_superseded(self.request.recovery_id)
            self.journal.note(FENCE, "intended", side=self.old.name, lowered=True)
            try:
                lower_fence(self.ports, self.settings, self.old, self._progress)
            except TdevError as error:
                if self.request.planned:
                    raise
                self._end("given up")
                return (
                    f"Nothing was promoted, and nobody knows how {self.old.name} is ({error}) Turn it off, see that it "
                    "is off, and start a failover anew with «attested off»; or bring it up by hand."
                )
            self.journal.note(FENCE, "undone", side=self.old.name)
        remains = self._takeover.taken_back(self._looked(), self.request.recovery_id)
        self._end("taken back")
        return f"{self.old.name} serves again, as before; {remains}"

    def give_up(self, approved_by: Sequence[str]) -> str:
        """Say that this failover is over, though it did not end: then another may begin. Nothing is touched.

        Raises:
            AccessDeniedError: nobody approved.
        """
        refuse_unapproved(self.settings.recovery, self.request.requested_by, approved_by, NEEDED)
        parts = "; ".join(f"{side.name}: {self._state_of(side)}" for side in (self.old, self.new))
        self._end("given up")
        return f"It is given up as it stands. {parts}."

    def _refuse_ended(self) -> None:
        ended = self.journal.done(END)
        if ended is not None and ended["how"] != "done":
            raise InputError(f"This failover is over ({ended['how']}); begin a new one.")

    def _looked(self) -> Mapping[str, Any]:
        return self.journal.done(LOOKED) or {}

    def _own(self) -> None:
        self._check()
        self._refuse_ended()
        self._epochs.refuse_superseded(self.request.recovery_id)

    def _has_ended(self, recovery_id: str) -> bool:
        journal = self._journal_of(recovery_id)
        return journal.done(END) is not None or journal.last(FENCE) is None

    def _journal_of(self, recovery_id: str) -> Journal:
        bucket, system = self.settings.buckets.backups, self.settings.system.name
        return Journal(self.ports.store, bucket, system, recovery_id, clock=self.ports.clock)

    def _end(self, how: str) -> None:
        if self.journal.done(END) is None:
            self.journal.note(END, "done", how=how)

    def _looked_at_buckets(self) -> list[str]:
        told = []
        for name, source in self.old.buckets.items():
            target = self.new.buckets[name]
            if source != target:
                try:
                    seen = mirror(self.ports.store, source, target, dry=True, check=self._check)
                except TdevError as error:
                    if self.request.planned:
                        raise
                    told.append(f"{source} cannot be listed, so that its last changes are lost ({error})")
                else:
                    told.append(f"{source} -> {target}: {seen.copied:,} objects to copy, {seen.same:,} are there")
        return told

    def _name_told(self, name: str) -> str:
        points_to = self.ports.names.address_of(name) if self.ports.names else ""
        return f"{name} points to {points_to or 'nothing'}, and will to {self.new.address}"

    def _mirror(self, name: str) -> Mirrored:
        source, target = self.old.buckets[name], self.new.buckets[name]
        if source == target:
            return Mirrored(source, target)
        try:
            done = mirror(self.ports.store, source, target, check=self._check)
        except TdevError as error:
            if self.request.planned or isinstance(error, BusyError):
                raise
            self._progress(f"{source} -> {target}: {error}")
            try:
                return bucket_from_set(self._course, name, str(error))
            except InputError as none:
                return Mirrored(source, target, lost=f"{error} {none}")
        self._progress(f"{source} -> {target}: {done.copied:,} objects copied, {done.same:,} were there")
        return done

    def _refuse_lowered_fence(self) -> None:
        noted = self.journal.done(FENCE)
        if noted is None:
            raise InputError(f"{self.old.name} is not fenced; do the step fence first.")
        fenced = Fenced(noted["how"], noted["by"])
        if not is_up(self.ports, self.settings, self.old, fenced):
            refuse_living(self.ports, self.old)
            raise InputError(
                f"The fence of {self.old.name} ({fenced.how}) does not hold any more; see its host by hand."
            )

    def _await_resolved(self, name: str) -> str:
        """Wait until a resolver says what the provider says; another's answer lives as long as the record's TTL."""
        rules = self.settings.failover.dns
        wanted = {self.new.address}
        if rules.record_type == "CNAME":
            wanted = set(self.ports.resolver.resolve(self.new.address))
        deadline = time.monotonic() + rules.ttl_seconds + self.settings.failover.catch_up_seconds
        while not (found := set(self.ports.resolver.resolve(name))) or not found <= wanted:
            self._check()
            if time.monotonic() > deadline:
                raise TargetTimeoutError(
                    f"{name} resolves to {', '.join(sorted(found)) or 'nothing'} still; try again."
                )
            time.sleep(_POLL_SECONDS)
        self._progress(f"{name} resolves to {self.new.name}")
        return ", ".join(sorted(found))

    def _after_promotion(self) -> None:
        self._own()
        if self.journal.done(PROMOTE) is None:
            raise InputError(f"{self.new.name} is not promoted; nothing points to it before.")

    def _told_half_way(self) -> str:
        """Say in what state each part is, and what a human must do."""
        parts = [f"{side.name}: {self._state_of(side)}" for side in (self.old, self.new)]
        steps = (FENCE, SYNC, PROMOTE, NAMES, START, VERIFY)
        undone = [step for step in steps if self.journal.done(step) is None]
        told = (
            f"The promotion was begun, so that nothing is taken back. {'; '.join(parts)}. "
            f"Not done: {', '.join(undone)}. Go forward: clear the first red task, or "
            f"tdev failover --go-on {self.request.recovery_id}. Do not start the server of {self.old.name}. When it "
            f"cannot go forward: tdev failover --give-up {self.request.recovery_id}, and fail over anew."
        )
        self._progress(told)
        return told

    def _state_of(self, side: Side) -> str:
        try:
            found = look(self.ports, side)
        except TransientError as error:
            return f"does not answer ({type(error).__name__})"
        return "a standby" if found.in_recovery else f"a primary on timeline {found.timeline}"


def took(journal: Journal) -> Mapping[str, float]:
    """Return the seconds from the fence's beginning to each step's end."""
    begun = next((entry.at for entry in journal.entries if entry.step == FENCE), None)
    if begun is None:
        return {}
    ends: dict[str, datetime] = {entry.step: entry.at for entry in journal.entries if entry.event == "done"}
    steps = (FENCE, SYNC, PROMOTE, NAMES, START, VERIFY)
    return {step: round((ends[step] - begun).total_seconds(), 1) for step in steps if step in ends}
