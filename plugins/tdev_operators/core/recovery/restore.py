"""A restore from choosing the set to the services' start, step by step; each may be done by another worker.

What one step has to tell the next stands in the journal, in the backups bucket: a step that was done is not done again,
and a restore goes on where a dead worker left it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import chain, count
from typing import Any

from tdev_operators.core.backup.buckets.stored import Place
from tdev_operators.core.backup.manifest import Manifest
from tdev_operators.core.backup.repository import Repository
from tdev_operators.core.errors import InputError
from tdev_operators.core.items import ItemOutcome
from tdev_operators.core.recovery.approvals import NEEDED_FOR_LIVE, refuse_unapproved
from tdev_operators.core.recovery.buckets import BucketPlan, BucketRestored, Target, plan_bucket, restore_bucket
from tdev_operators.core.recovery.choose_set import Choice, choose_set
from tdev_operators.core.recovery.database import RestoredDatabase, dump_of, restore_beside
from tdev_operators.core.recovery.journal import Journal
from tdev_operators.core.recovery.ports import RecoveryPorts
from tdev_operators.core.recovery.request import RestoreRequest
from tdev_operators.core.recovery.room import room_for
from tdev_operators.core.recovery.services import start_services, stop_services
from tdev_operators.core.recovery.take_place import (
    EXCHANGE,
    OPEN,
    Places,
    give_back,
    open_to_the_application,
    take_place,
)
from tdev_operators.core.recovery.ties import refuse_what_cannot_move, ties_of
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import Verdict

# The steps, as the journal names them.
ASKED, CHOSEN, CHECKED, NAMED, APPROVED = "asked", "set", "preflight", "name", "approval"
SAFETY, STOPPED, STARTED, HEALTH = "safety", "services stopped", "services started", "health"


def bucket_step(name: str) -> str:
    """Return the journal's name of a bucket's restore."""
    return f"bucket {name}"


class Restore:
    """One restore. Every method may be called again, and by a process that knows nothing of the others."""

    def __init__(
        self,
        ports: RecoveryPorts,
        settings: Settings,
        request: RestoreRequest,
        *,
        progress: Callable[[str], None] = lambda _: None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Open the journal of `request.recovery_id`.

        Raises:
            InputError: the journal is that of another request.
        """
        self.ports, self.settings, self.request = ports, settings, request
        self.progress, self.check = progress, check
        system = settings.system.name
        self.repository = Repository(ports.store, settings.buckets.backups, system)
        self._place = Place(settings.buckets.backups, self.repository.root)
        self.journal = Journal(ports.store, settings.buckets.backups, system, request.recovery_id, clock=ports.clock)
        asked = self.journal.done(ASKED)
        if asked is None:
            self.journal.note(ASKED, "done", **request.facts())
        elif RestoreRequest.of_facts(asked) != request:
            raise InputError(
                f"The recovery {request.recovery_id} was begun with another request; begin one of another name."
            )

    def choose(self) -> Choice:
        """Return the set; the first call decides, so that a newer set does not slip in between two steps.

        Raises:
            InputError: see `choose_set`; or the set has not what is asked of it.
        """
        chosen = self.journal.done(CHOSEN)
        if chosen is not None:
            return choose_set([self.repository.get(str(chosen["set_id"]))], unproven=True)
        choice = choose_set(self.repository.sets(), self.request.which, unproven=self.request.unproven)
        if self.request.database != "none":
            dump_of(choice.manifest, self.request.source)
        self.journal.note(
            CHOSEN,
            "done",
            set_id=choice.set_id,
            manifest_sha256=choice.manifest_sha256,
            recovery_point=choice.manifest.recovery_point.isoformat(),
            missing=choice.missing,
            newer=list(choice.newer),
        )
        return choice

    def chosen(self) -> Mapping[str, Any]:
        """Choose, and return what there is to say of it: `set_id`, `recovery_point` (ISO), `missing`, `newer`."""
        self.choose()
        return self.journal.done(CHOSEN) or {}

    def preflight(self) -> list[str]:
        """Look whether it can be done, without touching anything; return what there is to know, a sentence each.

        Raises:
            InputError: there is no room, something hangs on the live database, or a bucket is missing.
        """
        manifest = self.choose().manifest
        told = [plan.to_text() for plan in self.plan_buckets()]
        if self.request.database != "none":
            told += self._preflight_database(manifest)
        self.journal.note(CHECKED, "done", told=told)
        return told

    def plan_buckets(self) -> list[BucketPlan]:
        """Return what would happen to each bucket; nothing is written."""
        manifest = self.choose().manifest
        return [
            plan_bucket(self.ports, self._place, manifest, name, self._target(name), check=self.check)
            for name in self.request.buckets
        ]

    def restore_database(self) -> RestoredDatabase | None:
        """Restore the database beside the live one and prove it there; None when none was asked for."""
        if self.request.database == "none":
            return None
        manifest = self.choose().manifest
        return restore_beside(
            self.ports,
            self.settings,
            manifest,
            dump_of(manifest, self.request.source),
            self._new_name(manifest),
            self.journal,
            tables=self.request.tables,
            progress=self.progress,
            check=self.check,
        )

    def restore_buckets(self) -> list[BucketRestored]:
        """Restore the buckets that were asked for."""
        manifest, done = self.choose().manifest, []
        for name in self.request.buckets:
            target, begun = self._target(name), time.monotonic()
            self.journal.note(bucket_step(name), "intended", **asdict(target))
            restored = restore_bucket(
                self.ports, self._place, manifest, name, target, progress=self.progress, check=self.check
            )
            facts = {**asdict(restored), "damaged": restored.damaged[:20], "damages": len(restored.damaged)}
            self.journal.note(
                bucket_step(name), "done", **facts, prefix=target.prefix, seconds=round(time.monotonic() - begun, 3)
            )
            done.append(restored)
        return done

    @property
    def source_name(self) -> str:
        """The database of the set that is restored."""
        return dump_of(self.choose().manifest, self.request.source).name

    def note_approvals(self, people: Sequence[str]) -> None:
        """Note who approved that the live database is replaced.

        Raises:
            AccessDeniedError: too few different people of the settings.
        """
        refuse_unapproved(self.settings.recovery, self.request.requested_by, people, NEEDED_FOR_LIVE)
        self.journal.note(APPROVED, "done", by=sorted(set(people)))

    def note_refusal(self, why: str) -> None:
        """Note that it was not approved."""
        self.journal.note(APPROVED, "refused", why=why)

    def note_health(self, outcome: ItemOutcome) -> None:
        """Note how the system is afterwards."""
        red = [result.check for result in outcome.results if result.verdict.is_red]
        self.journal.note(HEALTH, "done", verdict=outcome.verdict.value, red=red)

    def note_safety_set(self, set_id: str) -> None:
        """Note that a set of the live database was completed before it is replaced."""
        self.journal.note(SAFETY, "done", set_id=set_id)

    @property
    def has_safety_set(self) -> bool:
        """Whether a set of the live database was completed for this restore."""
        return self.journal.done(SAFETY) is not None

    def refuse_unready(self) -> None:
        """Refuse to replace the live database before anything was restored for it.

        Raises:
            AccessDeniedError: too few people approved.
            InputError: no safety set was taken, and nobody accepted that.
        """
        approved = self.journal.done(APPROVED)
        refuse_unapproved(
            self.settings.recovery, self.request.requested_by, approved["by"] if approved else (), NEEDED_FOR_LIVE
        )
        if not self.has_safety_set and not self.request.no_safety_set:
            raise InputError("There is no safety set of the live database; take one, or tick «no safety set».")

    def replace_live(self) -> Places:
        """Stop the services, exchange the names, open the restored database, start the services.

        Raises:
            AccessDeniedError: too few people approved.
            InputError: no safety set was taken and nobody accepted that; or what `take_place` refuses.
            TransientError: try again; it goes on where it stopped.
        """
        self.refuse_unready()
        restored = self.restore_database()
        if restored is None:
            raise InputError("No database is restored, so that nothing takes the live one's place.")
        live = restored.source
        if self.journal.last(OPEN) is None:
            with self.ports.session() as session:
                refuse_what_cannot_move(ties_of(self.ports, session, live), live, slots_accepted=self.request.slots)
            self._stop()
            try:
                take_place(
                    self.ports,
                    restored,
                    live,
                    self.journal,
                    drain_seconds=self.settings.recovery.drain_seconds,
                    progress=self.progress,
                    check=self.check,
                )
            except BaseException:
                if (entry := self.journal.last(EXCHANGE)) and entry.event == "undone":
                    self._start()
                raise
        places = open_to_the_application(self.ports, self.journal)
        self._start()
        return places

    def settle(self) -> str:
        """Leave nothing half-done when a restore ended early: give the name back, start the services; say what was.

        Nothing happens when the live database was not touched, or is replaced and open.
        """
        given_back = self.journal.last(OPEN) is None and give_back(self.ports, self.journal, progress=self.progress)
        stopped = self.journal.last(STOPPED)
        if stopped is not None and self.journal.done(STARTED) is None:
            self._start()
        if given_back:
            return "The live database has its name again and takes connections; the restored one stands beside it."
        return "There was nothing to settle."

    def _preflight_database(self, manifest: Manifest) -> list[str]:
        dump = dump_of(manifest, self.request.source)
        told = [self.room(dump.raw_bytes)]
        with self.ports.session() as session:
            if self.request.replaces_live:
                ties = ties_of(self.ports, session, dump.name)
                refuse_what_cannot_move(ties, dump.name, slots_accepted=self.request.slots)
                told += [f"Stays with the old database, or meets the new one: {tie}." for tie in ties.found]
                told += [f"Nobody could look into {unseen}" for unseen in ties.unseen]
        return told

    def room(self, raw_bytes: int) -> str:
        """Return how much room there is for a database.

        Raises:
            InputError: too little; or nobody can tell, and the live database is to be replaced.
        """
        with self.ports.session() as session:
            room = room_for(self.ports, self.settings, session, raw_bytes)
        if room.verdict is Verdict.CRITICAL or (room.verdict is Verdict.UNKNOWN and self.request.replaces_live):
            raise InputError(room.summary)
        return room.summary

    def _stop(self) -> None:
        if self.journal.done(STOPPED) is None or self.journal.done(STARTED) is not None:
            self.journal.note(STOPPED, "intended")
        names = stop_services(self.ports, self.settings, self.progress)
        self.journal.note(STOPPED, "done", services=names)
        if self.journal.done(STARTED) is not None:
            self.journal.note(STARTED, "undone")

    def _start(self) -> None:
        names = start_services(self.ports, self.settings, self.progress)
        self.journal.note(STARTED, "done", services=names)

    def _new_name(self, manifest: Manifest) -> str:
        """Return the new database's name: as asked, or the first of ours that nothing has; decided once."""
        return self.name_for(f"{dump_of(manifest, self.request.source).name[:40]}_restored_{manifest.sequence:06d}")

    def name_for(self, base: str) -> str:
        """Return the name that was asked for, or `base`, numbered if it is taken; decided once."""
        if self.request.new_name:
            return self.request.new_name
        if (noted := self.journal.done(NAMED)) is not None:
            return str(noted["name"])
        with self.ports.session() as session:
            taken = {str(row["name"]) for row in session.rows(load_sql("recovery/names"), {"beginning": base})}
        names = chain([base], (f"{base}_{number}" for number in count(2)))
        name = next(one for one in names if one not in taken)
        self.journal.note(NAMED, "done", name=name)
        return name

    def scratch_prefix(self, bucket: str) -> str:
        """Return where a bucket's objects go when they shall not go into the live one."""
        return f"{self.repository.root}restored/{self.request.recovery_id}/{bucket}/"

    def _target(self, name: str) -> Target:
        sources = self.settings.buckets.sources
        if self.request.buckets_into == "scratch":
            return Target(self.settings.buckets.backups, self.scratch_prefix(name))
        if name not in sources:
            raise InputError(f"There is no bucket {name}; choose from: {', '.join(sources)}.")
        return Target(
            sources[name],
            overwrite_newer=self.request.overwrite_newer,
            remove_surplus=self.request.remove_surplus,
        )
