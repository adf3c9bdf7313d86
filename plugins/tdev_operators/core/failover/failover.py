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

from psycopg.sql import SQL, Literal

from tdev_operators.core.errors import BusyError, InputError, TargetTimeoutError, TdevError, TransientError
from tdev_operators.core.failover.epoch import Epochs
from tdev_operators.core.failover.fence import (
    BY_UNIT,
    Fenced,
    control_data,
    is_up,
    lower_fence,
    raise_fence,
    refuse_living,
)
from tdev_operators.core.failover.mirror import Mirrored, mirror
from tdev_operators.core.failover.ports import FailoverPorts
from tdev_operators.core.failover.request import FailoverRequest
from tdev_operators.core.failover.settings import Side
from tdev_operators.core.failover.sides import Database, look, looked, lsn_of, switch_point, text_of
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
        self._progress, self._check, self._bystander = progress, check, bystander
        self.old, self.new = request.sides(settings.failover)
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
        new, old, told, slots = self._look_at_new(), self._look_at_old(), list[str](), list[dict[str, Any]]()
        units = Units(self.ports, self.settings, self.new)
        for service in (self.new.database_service, *self.new.services):
            units.runs(service)  # the host obeys
        if old is None:
            told.append(f"{self.old.name} does not answer: what had not reached {self.new.name} is lost")
        else:
            behind = max(0, old.lsn - new.lsn)
            told.append(f"{self.new.name} is {behind / _MEGABYTE:,.1f} MB behind {self.old.name}")
            slots = self._slots()
            told += [
                f"the logical slot {row['name']} of {row['database']} starts over on {self.new.name}" for row in slots
            ]
        told += self._looked_at_buckets()
        told += [self._name_told(name) for name in self.settings.failover.dns.names if self.ports.names]
        self.journal.note(
            LOOKED,
            "done",
            told=told,
            new=new.facts(),
            old=old.facts() if old else None,
            loss=self._loss(new, old),
            slots=slots,
        )
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
        last = self._last_position() if self.request.planned else None
        if last is not None:
            self._await_replayed(last)
        buckets = {name: asdict(self._mirror(name)) for name in self.old.buckets}
        facts = {"last": text_of(last) if last is not None else "", "buckets": buckets}
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
        if look(self.ports, self.new).in_recovery:
            self._own()
            self._promote()
        facts = self._promoted(str(synced["last"]))
        self.journal.note(PROMOTE, "done", **facts)
        self._progress(f"{self.new.name} is the primary, on timeline {facts['timeline']}")
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
            failed = self._recreate_slots()
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
        if promoted is not None or not look(self.ports, self.new).in_recovery:
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
        self._end("taken back")
        return f"{self.old.name} serves again, as before; {self.new.name} is its standby."

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

    def _look_at_new(self) -> Database:
        new = look(self.ports, self.new)
        if new.system_identifier == self._bystander:
            raise InputError(
                "The ledger lives on a server that takes part in the failover, so that its lock would fail over too; "
                "give the ledger a server of its own."
            )
        if not new.in_recovery:
            raise InputError(
                f"{self.new.name} is a primary already; a failover goes to a standby: let it follow {self.old.name}."
            )
        self._refuse_rights()
        if self.request.planned and not new.streaming:
            raise InputError(f"{self.new.name} follows nobody right now; mend its replication, or say «not planned».")
        return new

    def _refuse_rights(self) -> None:
        """Refuse what would only fail behind the promotion."""
        with self.ports.database(self.new, "postgres").session(application_name="tdev-failover") as session:
            row = session.rows(load_sql("failover/rights"))[0]
        needed = {"may_promote": "EXECUTE on pg_promote", "may_read_history": "EXECUTE on pg_read_file(text)"}
        needed |= {"may_write": "EXECUTE on pg_logical_emit_message", "may_monitor": "the role pg_monitor"}
        if lacking := [what for key, what in needed.items() if not row[key]]:
            raise InputError(
                f"Our role lacks {', '.join(lacking)} on {self.new.name}; grant it there (docs/privileges.md)."
            )
        if row["waits_for"]:
            raise InputError(
                f"{self.new.name} has synchronous_standby_names = {row['waits_for']!r}: as a primary it would wait for "
                "a standby that is off. Empty it first."
            )

    def _look_at_old(self) -> Database | None:
        try:
            old = look(self.ports, self.old)
        except TransientError:
            if self.request.planned:
                raise
            return None
        new = look(self.ports, self.new)
        if old.system_identifier != new.system_identifier:
            raise InputError(f"{self.new.name} is no standby of {self.old.name}: it is another database cluster.")
        if old.in_recovery:
            raise InputError(f"{self.old.name} is a standby itself; there is no primary to fail over from.")
        behind = (old.lsn - new.lsn) / _MEGABYTE
        if self.request.planned and behind > self.settings.failover.lag_megabytes:
            raise InputError(
                f"{self.new.name} is {behind:,.0f} MB behind; wait until it has caught up to "
                f"{self.settings.failover.lag_megabytes:g} MB (failover.lag_megabytes)."
            )
        return old

    def _slots(self) -> list[dict[str, Any]]:
        """Return the logical slots that the new side has not."""
        with self.ports.database(self.old, "postgres").session() as session:
            there = session.rows(load_sql("failover/slots"))
        with self.ports.database(self.new, "postgres").session() as session:
            known = {row["name"] for row in session.rows(load_sql("failover/slots"))}
        lost = [row for row in there if row["name"] not in known]
        if lost and not self.request.slots:
            names = ", ".join(str(row["name"]) for row in lost)
            raise InputError(
                f"The logical slots {names} are not on {self.new.name} and would start over there; tick «slots», or "
                "let them be synchronised (failover = true, sync_replication_slots)."
            )
        return [dict(row) for row in lost]

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

    def _loss(self, new: Database, old: Database | None) -> dict[str, Any]:
        replayed = new.last_replayed_at
        return {
            "bytes": max(0, old.lsn - new.lsn) if old else None,
            "last_replayed_at": replayed.isoformat() if replayed else None,
        }

    def _last_position(self) -> int:
        """Return where the old side's last checkpoint stands; only a shut-down server has one that nothing follows."""
        control = control_data(self.ports, self.settings, self.old)
        if control.system_identifier != look(self.ports, self.new).system_identifier:
            raise InputError(
                f"The data directory of {self.old.name} ({self.old.data_directory}) is of another cluster; mend "
                "failover.sides."
            )
        if not control.shut_down:
            raise InputError(
                f"{self.old.name} did not shut down cleanly, so that nobody knows its last position. It is taken back; "
                "then start again as not planned, if that has to be."
            )
        before = (self.journal.done(LOOKED) or {}).get("old")
        if before and control.checkpoint < lsn_of(before["lsn"]):
            raise InputError(
                f"The control file of {self.old.name} is older than what it had written already; see data_directory."
            )
        return control.checkpoint

    def _await_replayed(self, position: int) -> None:
        """Wait until the standby is behind the shutdown checkpoint, which begins at `position`."""
        deadline = time.monotonic() + self.settings.failover.catch_up_seconds
        while (found := look(self.ports, self.new)).lsn <= position:
            self._check()
            if time.monotonic() > deadline:
                raise TargetTimeoutError(
                    f"{self.new.name} replayed up to {text_of(found.lsn)} and not to {text_of(position)}, where "
                    f"{self.old.name} ended, within {self.settings.failover.catch_up_seconds:g} s."
                )
            time.sleep(_POLL_SECONDS)
        self._progress(f"{self.new.name} has replayed everything, up to {text_of(found.lsn)}")

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
            return Mirrored(source, target, lost=str(error))
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

    def _promote(self) -> None:
        seconds = int(self.settings.failover.promote_seconds)
        try:
            with self.ports.database(self.new, "postgres").session(application_name="tdev-failover") as session:
                session.rows(load_sql("failover/promote"), {"seconds": seconds})
        except TransientError as error:  # it may have been promoted all the same
            self._progress(f"{self.new.name}: {error}")
        deadline = time.monotonic() + seconds
        while look(self.ports, self.new).in_recovery:
            if time.monotonic() > deadline:
                raise TargetTimeoutError(
                    f"{self.new.name} is a standby still, {seconds} s after it was told to be the primary; see its "
                    "log. It may become one later: the old side stays off."
                )
            time.sleep(_POLL_SECONDS)

    def _promoted(self, last: str) -> dict[str, Any]:
        """Return how the new primary is; the old side's last position lies at or before the switch."""
        with self.ports.database(self.new, "postgres").session(application_name="tdev-failover") as session:
            state = looked(session)
            switch = switch_point(str(session.rows(load_sql("failover/history"))[0]["history"]))
        if last and lsn_of(last) > switch:
            raise InputError(
                f"{self.new.name} left the old history at {text_of(switch)}, before {self.old.name}'s last position "
                f"{last}: something is lost. Leave both as they are, and compare them by hand."
            )
        return {"timeline": state.timeline, "switch": text_of(switch), "last": last}

    def _recreate_slots(self) -> list[str]:
        """Make the logical slots that the old side had and the new one has not; return a sentence for each not made."""
        failed = []
        for row in (self.journal.done(LOOKED) or {}).get("slots", []):
            making = SQL("SELECT pg_create_logical_replication_slot({}, {})").format(
                Literal(row["name"]), Literal(row["plugin"])
            )
            try:
                with self.ports.database(self.new, str(row["database"])).session() as session:
                    if row["name"] not in {one["name"] for one in session.rows(load_sql("failover/slots"))}:
                        session.rows(making)
            except TdevError as error:  # whoever reads it waits; the system does not
                failed.append(f"{row['name']}: {error}")
        return failed

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
