"""Parameters of a session, such as how long it waits for a lock."""

from collections.abc import Mapping

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.sql import load_sql


def put(session: Session, values: Mapping[str, str]) -> None:
    """Set parameters of a session; they stay until it ends."""
    for name, value in values.items():
        session.rows(load_sql("care/set"), {"name": name, "value": value})
