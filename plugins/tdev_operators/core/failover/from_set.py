"""Without a replica: the newest PROVEN set is restored on the new side, proven there, and takes the database's name.

What the old side wrote since that set is lost, which is why it is never planned. A database of that name that the new
side has already, of an earlier failover for example, is kept under a dated name.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.sql import Composed

from tdev_operators.core.backup.buckets.stored import Place
from tdev_operators.core.backup.database.names import (
    all_or_nothing,
    allowing,
    commenting,
    facts_of,
    fitting,
    name_of,
    renaming,
)
from tdev_operators.core.backup.manifest import DatabaseDump, Manifest
from tdev_operators.core.backup.repository import Repository
from tdev_operators.core.backup.verified import manifest_of
from tdev_operators.core.errors import GarbledAnswerError, InputError, TransientError
from tdev_operators.core.failover.mirror import Mirrored
from tdev_operators.core.failover.sides import Database, look
from tdev_operators.core.failover.takeover import Course, Prospect, refuse_the_ledgers, rights_on_new
from tdev_operators.core.recovery.buckets import Target, restore_bucket
from tdev_operators.core.recovery.choose_set import Choice, choose_set
from tdev_operators.core.recovery.database import dropped_if_ours, restore_beside
from tdev_operators.core.recovery.journal import Journal
from tdev_operators.core.recovery.room import room_for
from tdev_operators.core.recovery.take_place import old_name_of
from tdev_operators.core.reporting.wording import moment
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import Verdict


class FromSet:
    """The new side has a server of its own, and the backups bucket has a set."""

    def __init__(self, course: Course) -> None:
        """Nothing is opened."""
        self._course, self._new = course, course.new
        self._ports = course.ports.recovery(course.new)

    def look(self) -> Prospect:
        """See which set it would be, and whether the new side's server takes it."""
        if self._course.request.planned:
            raise InputError(
                "Without a replica (failover.database) what was written since the newest set is lost. Stop the "
                "application, take a set and have it PROVEN, then ask as not planned."
            )
        new, old = self._look_at_new(), self._look_at_old()
        choice = self._newest()
        dumps = _maintained(choice.manifest)
        since = moment(choice.manifest.recovery_point)
        told = [
            f"{self._new.name} gets the set {choice.set_id}; what {self._course.old.name} wrote since {since} is lost",
            self._room(sum(dump.raw_bytes for dump in dumps)),
        ]
        loss = {
            "bytes": None,
            "last_replayed_at": choice.manifest.recovery_point.isoformat(),
            "set_id": choice.set_id,
        }
        return Prospect(told, new.facts(), old.facts() if old else None, loss)

    def catch_up(self, looked: Mapping[str, Any], journal: Journal) -> dict[str, Any]:
        """Restore the set's databases beside whatever is there, and prove them."""
        manifest = self._manifest(str(looked["loss"]["set_id"]))
        databases = []
        for dump in _maintained(manifest):
            restored = restore_beside(
                self._ports,
                self._course.settings,
                manifest,
                dump,
                _beside(dump, manifest),
                journal,
                progress=self._course.progress,
                check=self._course.check,
            )
            if not restored.is_proven:
                why = restored.unprovable or restored.differences[0]
                raise InputError(f"{restored.name} on {self._new.name} is not what was backed up ({why}); look at it.")
            databases.append({"name": dump.name, "oid": restored.oid})
        return {"last": "", "set_id": manifest.set_id, "databases": databases}

    def is_promoted(self, synced: Mapping[str, Any]) -> bool:
        """Whether the restored databases have the names that the application knows."""
        if not synced:
            return False
        with self._ports.session() as session:
            return all(name_of(session, one["oid"]) == one["name"] for one in synced["databases"])

    def promote(self, synced: Mapping[str, Any]) -> None:
        """Give them their names, all in one transaction; whatever had those is kept under dated ones."""
        with self._ports.session() as session:
            renames: list[Composed] = []
            for one in synced["databases"]:
                name, restored_as = str(one["name"]), name_of(session, one["oid"])
                if restored_as == name:
                    continue
                if not restored_as:
                    raise InputError(f"The restored {name} is gone from {self._new.name}; begin a new failover.")
                if facts_of(session, name):
                    kept = old_name_of(name, f"{self._ports.clock():%Y%m%d_%H%M%S}")
                    session.rows(allowing(name, allowed=False))
                    session.rows(load_sql("recovery/end_sessions"), {"name": name})
                    renames.append(renaming(name, kept))
                    self._course.progress(f"{name} of {self._new.name} is kept as {kept}")
                renames.append(renaming(restored_as, name))
            all_or_nothing(session, renames)

    def promoted(self, synced: Mapping[str, Any]) -> dict[str, Any]:
        """Read the names back, and give the databases their own comments."""
        if not self.is_promoted(synced):
            raise GarbledAnswerError(f"The databases of {self._new.name} have not the names that they were given.")
        comments = {dump.name: dump.properties for dump in _maintained(self._manifest(str(synced["set_id"])))}
        with self._ports.session() as session:
            for name, properties in comments.items():
                session.rows(commenting(name, properties.comment if properties else ""))
        return {"timeline": look(self._course.ports, self._new).timeline, "switch": "", **synced}

    def make_slots(self, looked: Mapping[str, Any]) -> list[str]:  # noqa: ARG002 - a set knows of none
        """Nothing: a set knows of no slots."""
        return []

    def taken_back(self, looked: Mapping[str, Any], recovery_id: str) -> str:
        """Drop what was restored for nothing."""
        manifest = self._manifest(str(looked["loss"]["set_id"]))
        with self._ports.session() as session:
            for dump in _maintained(manifest):
                dropped_if_ours(session, _beside(dump, manifest), recovery_id, self._course.progress)
        return f"what was restored on {self._new.name} is dropped."

    def _look_at_new(self) -> Database:
        new = look(self._course.ports, self._new)
        refuse_the_ledgers(self._course, new)
        if new.in_recovery:
            raise InputError(
                f"{self._new.name} follows another server, so that no set can be restored there; set failover.database "
                'to "replica", or promote it by hand first.'
            )
        rights_on_new(self._course, {"may_create": "CREATEDB", "may_write": "EXECUTE on pg_logical_emit_message"})
        return new

    def _look_at_old(self) -> Database | None:
        try:
            old = look(self._course.ports, self._course.old)
        except TransientError:
            return None
        refuse_the_ledgers(self._course, old)
        return old

    def _room(self, raw_bytes: int) -> str:
        recovery = self._course.settings.recovery.model_copy(update={"database_host": self._new.host})
        settings = self._course.settings.model_copy(update={"recovery": recovery})
        with self._ports.session() as session:
            room = room_for(self._ports, settings, session, raw_bytes)
        if room.verdict is Verdict.CRITICAL:
            raise InputError(room.summary)
        return room.summary.rstrip(".")

    def _newest(self) -> Choice:
        return choose_set(_repository(self._course).sets())

    def _manifest(self, set_id: str) -> Manifest:
        return manifest_of(_repository(self._course).get(set_id))


def bucket_from_set(course: Course, name: str, why: str) -> Mirrored:
    """Fill the new side's bucket from the newest PROVEN set: the old side's cannot be read, and `why`.

    Raises:
        InputError: there is no such set, or no such bucket.
        TransientError: the store is away; try again.
    """
    repository = _repository(course)
    choice = choose_set(repository.sets())
    source, target = course.old.buckets[name], course.new.buckets[name]
    done = restore_bucket(
        course.ports.recovery(course.new),
        Place(course.settings.buckets.backups, repository.root),
        choice.manifest,
        name,
        Target(target),
        progress=course.progress,
        check=course.check,
    )
    course.progress(f"{target}: {done.written:,} objects of the set {choice.set_id}, because {why}")
    since = f"its objects are those of the set {choice.set_id} ({why})"
    return Mirrored(source, target, copied=done.written, copied_bytes=done.written_bytes, lost=since)


def _repository(course: Course) -> Repository:
    return Repository(course.ports.store, course.settings.buckets.backups, course.settings.system.name)


def _maintained(manifest: Manifest) -> Sequence[DatabaseDump]:
    return [dump for dump in manifest.databases if dump.role == "maintained"]


def _beside(dump: DatabaseDump, manifest: Manifest) -> str:
    return fitting(dump.name, f"_from_{manifest.sequence:06d}")
