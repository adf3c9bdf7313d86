"""Give way: a statement of ours that somebody waits for is cancelled, as autovacuum cancels itself.

REINDEX CONCURRENTLY, VACUUM and DROP INDEX CONCURRENTLY let everybody read and write; but whoever wants to ALTER the
table queues up behind them, and everybody else behind him.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread

from tdev_operators.core.backup.ports import Session, SourceDatabase
from tdev_operators.core.database.alone import APPLICATION
from tdev_operators.core.errors import TdevError
from tdev_operators.core.sql import load_sql

_LOOK_SECONDS = 0.2
_FIRST_LOOK_SECONDS = 0.4


@dataclass(slots=True)
class Yielded:
    """For whom the statement was cancelled; empty while nobody has to wait."""

    to: str = ""
    over: Event = field(default_factory=Event)

    @property
    def why(self) -> str:
        """The reason as a sentence's end."""
        return f"it gave way to {self.to}, who waited for it"


@contextmanager
def yielding(database: SourceDatabase, session: Session, seconds: float) -> Iterator[Yielded]:
    """Cancel what `session` runs inside the block once somebody has waited for its locks for so long.

    At the latest after half of the server's `deadlock_timeout`: a rebuild waits for the snapshots of others, and so for
    whoever waits for its lock; PostgreSQL then ends the statement of the one who came last, which is the application's.
    Ours ends with a TargetTimeoutError, and `Yielded.to` says for whom. What takes only a moment is not watched.
    """
    given_way = Yielded()
    watcher = Thread(target=_watch, args=(database, session.pid, seconds, given_way), name="yielding", daemon=True)
    watcher.start()
    try:
        yield given_way
    finally:
        given_way.over.set()
        watcher.join()


def _watch(database: SourceDatabase, pid: int, seconds: float, given_way: Yielded) -> None:
    binds = {"pid": pid, "seconds": seconds, "ours": APPLICATION}
    pause = _FIRST_LOOK_SECONDS
    while not given_way.over.wait(pause):
        pause = _LOOK_SECONDS
        try:
            with database.session(application_name=APPLICATION) as watching:
                while not given_way.over.wait(_LOOK_SECONDS):
                    if rows := watching.rows(load_sql("care/waiting_for_us"), binds):
                        given_way.to = rows[0]["waiter"]
                        watching.rows(load_sql("care/cancel"), {"pid": pid})
        except TdevError:
            continue  # the server is short of something; its own limits still end the statement
