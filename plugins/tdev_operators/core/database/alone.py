"""Work on a live database that must not run twice at once, and never on a standby."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tdev_operators.core.backup.ports import Session, SourceDatabase
from tdev_operators.core.errors import BusyError, InputError, TdevError
from tdev_operators.core.sql import load_sql

APPLICATION = "tdev-maintenance-care"


@contextmanager
def alone(database: SourceDatabase, job: str) -> Iterator[Session]:
    """Hold the job's advisory lock in this database while the block runs; the session that holds it is yielded.

    The lock goes with the session, so that a dead worker holds nothing; it is beside the ledger's lease, which does not
    help while the ledger is down. A job is known by its name: two jobs do not keep each other out.

    Raises:
        InputError: the server is a standby. BusyError: another run of the job is at work.
    """
    with database.session(application_name=APPLICATION) as session:
        [state] = session.rows(load_sql("care/claim"), {"job": f"tdev-maintenance {job}"})
        if state["in_recovery"]:
            raise InputError(
                f"The database {database.name} is a standby, where nothing can be maintained; let the connection name "
                "the primary."
            )
        if not state["claimed"]:
            raise BusyError(f"Another {job} is at work in the database {database.name}; wait until it ends.")
        try:
            yield session
        finally:
            with suppress(TdevError):  # the session's end gives it back too
                session.rows(load_sql("care/release"), {"job": f"tdev-maintenance {job}"})
