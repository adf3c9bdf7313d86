"""A server's databases as they are called: found by name or by OID, which a rename does not change, and renamed."""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from psycopg.sql import SQL, Composed, Identifier, Literal

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.sql import load_sql

LONGEST_NAME = 63  # bytes; PostgreSQL cuts longer ones off


def facts_of(session: Session, name: str) -> dict[str, Any]:
    """Return what there is to know of a database (include/sql/backup/database_facts.sql); empty: it is not there."""
    rows = session.rows(load_sql("backup/database_facts"), {"name": name, "oid": 0})
    return rows[0] if rows else {}


def name_of(session: Session, oid: int) -> str:
    """Return how the database with this OID is called; empty: it is not there."""
    rows = session.rows(load_sql("backup/database_facts"), {"name": "", "oid": oid})
    return str(rows[0]["name"]) if rows else ""


def fitting(name: str, suffix: str) -> str:
    """Return the name with the suffix, cut in front of it to what PostgreSQL takes."""
    return name.encode()[: LONGEST_NAME - len(suffix)].decode(errors="ignore") + suffix


def distinct(name: str, suffix: str) -> str:
    """Return the name with the suffix; one that has to be cut gets a mark, so that others cut likewise differ."""
    if len((name + suffix).encode()) <= LONGEST_NAME:
        return name + suffix
    return fitting(name, f"_{sha256(name.encode()).hexdigest()[:6]}{suffix}")


def renaming(old: str, new: str) -> Composed:
    """Return the statement that renames a database."""
    return SQL("ALTER DATABASE {} RENAME TO {}").format(Identifier(old), Identifier(new))


def allowing(name: str, *, allowed: bool) -> Composed:
    """Return the statement that lets connections into a database, or no more."""
    return SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(Identifier(name), SQL("true" if allowed else "false"))


def commenting(name: str, text: str) -> Composed:
    """Return the statement that gives a database its comment; an empty one removes it."""
    return SQL("COMMENT ON DATABASE {} IS {}").format(Identifier(name), Literal(text or None))


def all_or_nothing(session: Session, statements: Iterable[Composed]) -> None:
    """Run the statements in one transaction."""
    session.rows("BEGIN")
    try:
        for statement in statements:
            session.rows(statement)
    except BaseException:
        session.rows("ROLLBACK")
        raise
    session.rows("COMMIT")
