"""A restored database takes the live one's name; the old one is kept under a dated name (guide: Backup Restoration).

    prepare     owner, grants, settings and comment of the live database are given to the restored one
    close       both refuse connections; who is still in the live one may finish, then is sent away
    exchange    both renames in one transaction
    open        the restored one takes connections: the point of no return, since from here on it may be written

Until `open`, `give_back` exchanges the names again; it is run by itself when a step fails. Every step looks at the
server before it acts: databases are known by their OIDs, which a rename does not change.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from tdev_operators.core.backup.database.names import (
    all_or_nothing,
    allowing,
    commenting,
    facts_of,
    fitting,
    name_of,
    renaming,
)
from tdev_operators.core.backup.database.properties import give_properties, properties_of
from tdev_operators.core.backup.ports import Session
from tdev_operators.core.errors import BusyError, GarbledAnswerError, InputError
from tdev_operators.core.recovery.database import RestoredDatabase
from tdev_operators.core.recovery.journal import Journal
from tdev_operators.core.recovery.ports import RecoveryPorts
from tdev_operators.core.sql import load_sql

EXCHANGE, OPEN = "exchange", "open"

_POLL_SECONDS = 0.2
_TERMINATE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Places:
    """Two databases by OID, the name that is at stake, and the names beside it."""

    live_name: str
    live_oid: int
    new_name: str
    new_oid: int
    old_name: str
    allowed_connections: bool = True


def old_name_of(live: str, moment_text: str) -> str:
    """Return the dated name under which the live database is kept."""
    return fitting(live, f"_old_{moment_text}")


def take_place(
    ports: RecoveryPorts,
    restored: RestoredDatabase,
    live: str,
    journal: Journal,
    *,
    drain_seconds: float,
    progress: Callable[[str], None] = lambda _: None,
    check: Callable[[], None] = lambda: None,
) -> Places:
    """Exchange the names, and leave both closed. `open_to_the_application` is the next step, and the last one.

    Services should be stopped: whoever is connected after `drain_seconds` is sent away. When it fails, the names are
    what they were and the live database takes connections again.

    Raises:
        InputError: the restored database is not proven, or one of the two is not there.
        BusyError: somebody cannot be sent away.
        TransientError: the server is away; try again, it goes on where it stopped.
    """
    if not restored.is_proven:
        raise InputError(
            f"The database {restored.name} is not proven ({_why_not(restored)}); it does not take the place of {live}."
        )
    with ports.session() as session:
        places = _places(session, restored, live, journal, f"{ports.clock():%Y%m%d_%H%M%S}")
        if name_of(session, places.new_oid) == places.live_name:
            return places  # an earlier try came so far
        _carry_over(session, places)
        try:
            _close(session, places, drain_seconds, progress, check)
            check()
            _exchange(session, places)
        except BaseException:
            give_back(ports, journal, progress=progress)
            raise
    journal.note(EXCHANGE, "done", **asdict(places))
    progress(f"{places.new_name} is now {places.live_name}; the old one is kept as {places.old_name}")
    return places


def open_to_the_application(ports: RecoveryPorts, journal: Journal) -> Places:
    """Let connections into the restored database. From here on there is no automatic way back."""
    places = _noted(journal)
    with ports.session() as session:
        if name_of(session, places.new_oid) != places.live_name:
            raise InputError(f"The database {places.live_name} is not the restored one; nothing is opened.")
        if journal.done(OPEN) is None:
            journal.note(OPEN, "intended", database=places.live_name)
            session.rows(allowing(places.live_name, allowed=True))
            journal.note(OPEN, "done", database=places.live_name)
    return places


def give_back(ports: RecoveryPorts, journal: Journal, *, progress: Callable[[str], None] = lambda _: None) -> bool:
    """Exchange the names again and let connections into the live database; return whether anything had to be done.

    Raises:
        InputError: the restored database was opened: what was written to it would be lost.
    """
    entry = journal.last(EXCHANGE)
    if entry is None or entry.event == "undone":
        return False
    if journal.last(OPEN) is not None:
        raise InputError(
            "The restored database was opened to the application, which may have written to it; going back would lose "
            "that. See docs/restore.md for the way back by hand."
        )
    places = _noted(journal)
    with ports.session() as session:
        if name_of(session, places.live_oid) == places.old_name:
            back = (renaming(places.live_name, places.new_name), renaming(places.old_name, places.live_name))
            all_or_nothing(session, back)
        session.rows(allowing(places.live_name, allowed=places.allowed_connections))
        if name_of(session, places.new_oid) == places.new_name:
            session.rows(allowing(places.new_name, allowed=True))
    journal.note(EXCHANGE, "undone", **asdict(places))
    progress(f"{places.live_name} is the database that it was, and takes connections again")
    return True


def _places(session: Session, restored: RestoredDatabase, live: str, journal: Journal, moment_text: str) -> Places:
    """Return what is exchanged: as it was noted by an earlier try, else as it stands now."""
    entry = journal.last(EXCHANGE)
    if entry is not None and entry.event != "undone":
        return _noted(journal)
    there = _database(session, live)
    new = _database(session, restored.name)
    if new["oid"] != restored.oid:
        raise InputError(f"The database {restored.name} is not the one that was restored; restore again.")
    places = Places(
        live_name=live,
        live_oid=there["oid"],
        new_name=restored.name,
        new_oid=restored.oid,
        old_name=old_name_of(live, moment_text),
        allowed_connections=there["allows_connections"],
    )
    journal.note(EXCHANGE, "intended", **asdict(places))
    return places


def _noted(journal: Journal) -> Places:
    entry = journal.last(EXCHANGE)
    if entry is None:
        raise InputError(f"The journal {journal.place} knows of no exchange of names; there is nothing to go on with.")
    return Places(**entry.facts)


def _carry_over(session: Session, places: Places) -> None:
    """Give the new database what `pg_dump` of one database does not hold."""
    properties = properties_of(session, places.live_name)
    give_properties(session, places.new_name, properties)
    session.rows(commenting(places.new_name, properties.comment))


def _close(
    session: Session,
    places: Places,
    drain_seconds: float,
    progress: Callable[[str], None],
    check: Callable[[], None],
) -> None:
    """Refuse new connections, wait, and send away who stays."""
    for name in (places.live_name, places.new_name):
        session.rows(allowing(name, allowed=False))
    deadline = time.monotonic() + drain_seconds
    told = 0.0
    while there := _sessions(session, places):
        check()
        now = time.monotonic()
        if now > deadline + _TERMINATE_SECONDS:
            raise BusyError(f"{there[0]} cannot be sent away from {places.live_name}; end it by hand, and try again.")
        if now > deadline and now - told > 2.0:  # noqa: PLR2004 - again, for those who ended up waiting
            told = now
            progress(f"sending away {len(there)} sessions of {places.live_name}: {'; '.join(there[:3])}")
            for name in (places.live_name, places.new_name):
                session.rows(load_sql("recovery/end_sessions"), {"name": name})
        time.sleep(_POLL_SECONDS)


def _sessions(session: Session, places: Places) -> list[str]:
    rows = [
        row
        for name in (places.live_name, places.new_name)
        for row in session.rows(load_sql("recovery/sessions"), {"name": name})
    ]
    return [
        f"the session {row['pid']} of {row['role'] or 'the server'} ({row['application'] or row['state']})"
        for row in rows
    ]


def _exchange(session: Session, places: Places) -> None:
    exchanging = (renaming(places.live_name, places.old_name), renaming(places.new_name, places.live_name))
    all_or_nothing(session, exchanging)
    if (name_of(session, places.new_oid), name_of(session, places.live_oid)) != (places.live_name, places.old_name):
        raise GarbledAnswerError(f"The names of {places.live_name} are not what they were set to; look by hand.")


def _database(session: Session, name: str) -> dict[str, Any]:
    facts = facts_of(session, name)
    if not facts:
        raise InputError(f"There is no database {name} on the server of the restore; mend the name or the connection.")
    return facts


def _why_not(restored: RestoredDatabase) -> str:
    return restored.unprovable or restored.differences[0]
