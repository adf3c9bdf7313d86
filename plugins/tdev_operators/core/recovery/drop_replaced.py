"""Dropping the database that a restore replaced: late, approved, and only the very one that its journal names.

There is no way back: what was in it and in no set is gone. That is why it stays for `keep_replaced_days`, and until a
set that was taken after the exchange is PROVEN.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.sql import SQL, Identifier

from tdev_operators.core.backup.database.names import facts_of, name_of
from tdev_operators.core.backup.manifest import State
from tdev_operators.core.backup.repository import Repository
from tdev_operators.core.errors import BusyError, InputError
from tdev_operators.core.recovery.approvals import refuse_unapproved
from tdev_operators.core.recovery.journal import Journal
from tdev_operators.core.recovery.ports import RecoveryPorts
from tdev_operators.core.recovery.take_place import EXCHANGE, OPEN, Places
from tdev_operators.core.reporting.wording import counted, moment
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql

DROP = "drop replaced"
NEEDED = 1  # approvals


@dataclass(frozen=True, slots=True)
class Replaced:
    """A database that a restore replaced, and since when."""

    recovery_id: str
    places: Places
    since: datetime
    dropped: bool


class DropReplaced:
    """The drop of one replaced database. Every method may be called again, by any worker."""

    def __init__(
        self,
        ports: RecoveryPorts,
        settings: Settings,
        recovery_id: str,
        *,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Read the journal of the restore `recovery_id`.

        Raises:
            InputError: that restore replaced nothing.
        """
        self._ports, self._settings, self._progress = ports, settings, progress
        bucket, system = settings.buckets.backups, settings.system.name
        self._repository = Repository(ports.store, bucket, system)
        self.journal = Journal(ports.store, bucket, system, recovery_id, clock=ports.clock)
        found = replaced_in(self.journal)
        if found is None:
            raise InputError(
                f"The restore {recovery_id} replaced no database; `tdev restore --replaced` lists those that did."
            )
        self.replaced = found

    def refuse_too_early(self) -> list[str]:
        """Look whether it may be dropped now; return what there is to know, a sentence each.

        Raises:
            InputError: it has to stay, and until when; or what stands there is another database.
            BusyError: somebody is connected to it.
        """
        places, now = self.replaced.places, self._ports.clock()
        until = self.replaced.since + timedelta(days=self._settings.recovery.keep_replaced_days)
        if now < until:
            raise InputError(f"{places.old_name} stays until {moment(until)}; drop it then.")
        newest = self._repository.newest(State.PROVEN)
        if newest is None or newest.recovery_point <= self.replaced.since:
            raise InputError(
                f"No set that was taken after the exchange ({moment(self.replaced.since)}) is PROVEN; "
                f"{places.old_name} stays until one is."
            )
        with self._ports.session() as session:
            if facts_of(session, places.old_name).get("oid") != places.live_oid:
                raise InputError(
                    f"The database {places.old_name} is not the one that was replaced (OID {places.live_oid}); "
                    "nothing is dropped. Look by hand."
                )
            sessions = session.rows(load_sql("recovery/sessions"), {"name": places.old_name})
        if sessions:
            raise BusyError(f"{counted(len(sessions), 'session')} of {places.old_name} are open; end them first.")
        return [
            f"{places.old_name} was replaced at {moment(self.replaced.since)} and is dropped: there is no way back",
            f"{newest.set_id} was taken after that and is PROVEN",
        ]

    def drop(self, approved_by: Sequence[str], requested_by: str) -> bool:
        """Drop it; return False when an earlier try did.

        Raises:
            AccessDeniedError: nobody else approved.
            InputError, BusyError: see `refuse_too_early`.
        """
        places = self.replaced.places
        if self.journal.done(DROP) is not None:
            return False
        refuse_unapproved(self._settings.recovery, requested_by, approved_by, NEEDED)
        last = self.journal.last(DROP)
        with self._ports.session() as session:
            if name_of(session, places.live_oid) or last is None:
                self.refuse_too_early()
                self.journal.note(DROP, "intended", name=places.old_name, oid=places.live_oid, by=sorted(approved_by))
                session.rows(SQL("DROP DATABASE {}").format(Identifier(places.old_name)))
        self.journal.note(DROP, "done", name=places.old_name)
        self._progress(f"{places.old_name} is dropped")
        return True


def all_replaced(ports: RecoveryPorts, settings: Settings) -> list[Replaced]:
    """Return every database that a restore replaced, by its restore."""
    repository = Repository(ports.store, settings.buckets.backups, settings.system.name)
    folder = f"{repository.root}recovery/"
    keys = (info.key.removeprefix(folder) for info in ports.store.list(repository.bucket, folder))
    ids = dict.fromkeys(key.partition("/")[0] for key in keys)
    journals = (Journal(ports.store, repository.bucket, repository.system, recovery_id) for recovery_id in ids)
    return [found for journal in journals if (found := replaced_in(journal))]


def replaced_in(journal: Journal) -> Replaced | None:
    """Return what the restore of a journal replaced; None when the live database is what it was."""
    exchanged = journal.last(EXCHANGE)
    if exchanged is None or exchanged.event != "done" or journal.last(OPEN) is None:
        return None
    dropped = journal.done(DROP) is not None
    return Replaced(journal.recovery_id, Places(**exchanged.facts), exchanged.at, dropped)
