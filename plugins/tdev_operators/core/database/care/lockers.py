"""Who has a lock on a table that we were to care for."""

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.reporting.wording import span
from tdev_operators.core.sql import load_sql


def locker(session: Session, table: int, *, of_any_kind: bool = False) -> str:
    """Return `pid 17 of app (job) has a lock on it, its transaction open for 3 h`; empty when nobody is in the way.

    As it stands: whoever keeps VACUUM away from the table with this oid. `of_any_kind`: readers and writers too.
    """
    found = session.rows(load_sql("care/table_lockers"), {"oid": table, "of_any_kind": of_any_kind})
    if not found:
        return ""
    first = found[0]
    age = f", its transaction open for {span(first['open_seconds'])}" if first["open_seconds"] else ""
    return f"{first['holder']} has a lock on it{age}"
