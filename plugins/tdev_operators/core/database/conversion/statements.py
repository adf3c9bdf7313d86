"""Single statements that need names: indexes, names, rights, sequences, locks."""

from collections.abc import Mapping
from typing import Any

from psycopg.sql import SQL, Composed

from tdev_operators.core.backup.database.names import distinct
from tdev_operators.core.database.retention.columns import name_of
from tdev_operators.core.database.retention.statements import text_of

_LEFT_OUT = 100  # numbers of a sequence


def index(name: str, table: tuple[str, str], facts: Mapping[str, Any]) -> Composed:
    """Make an index as another one is."""
    return SQL("-- an index\nCREATE {}INDEX IF NOT EXISTS {} ON {} USING {}").format(
        SQL("UNIQUE " if facts["is_unique"] else ""),
        name_of(name),
        name_of(*table),
        SQL(facts["tail"].replace("%", "%%")),  # pg_get_indexdef's own words
    )


def part_index(partition: str, name: str) -> str:
    """Return what a partition's share of an index is called."""
    return distinct(f"{partition}_{name}", "")


def analyzing(schema: str, table: str) -> Composed:
    """Let the planner know what is in a table."""
    return SQL("-- what is in it\nANALYZE {}").format(name_of(schema, table))


def constraint(name: str, table: tuple[str, str], facts: Mapping[str, Any]) -> Composed:
    """Make a UNIQUE constraint as another one is."""
    return SQL("-- a constraint\nALTER TABLE {} ADD CONSTRAINT {} {}").format(
        name_of(*table), name_of(name), SQL(facts["constraint_text"].replace("%", "%%"))
    )


def renaming(kind: str, schema: str, old: str, new: str) -> Composed:
    """Rename a TABLE, an INDEX, a SEQUENCE."""
    return SQL("-- another name\nALTER {} {} RENAME TO {}").format(SQL(kind), name_of(schema, old), name_of(new))


def renaming_constraint(table: tuple[str, str], old: str, new: str) -> Composed:
    """Rename a constraint, and its index with it."""
    return SQL("-- another name\nALTER TABLE {} RENAME CONSTRAINT {} TO {}").format(
        name_of(*table), name_of(old), name_of(new)
    )


def granting(kind: str, relation: tuple[str, str], right: Mapping[str, Any]) -> Composed:
    """Give a right as it was given."""
    columns = SQL(" ({})").format(name_of(right["column_name"])) if right["column_name"] else SQL("{}").format(SQL(""))
    return SQL("-- a right\nGRANT {}{} ON {} {} TO {}{}").format(
        SQL(right["privilege"]),
        columns,
        SQL(kind),
        name_of(*relation),
        name_of(right["grantee"]) if right["grantee"] else SQL("PUBLIC"),
        SQL(" WITH GRANT OPTION" if right["grantable"] else ""),
    )


def commenting(table: tuple[str, str], text: str) -> Composed:
    """Give a table its comment; an empty one removes it."""
    return SQL("-- a comment\nCOMMENT ON TABLE {} IS {}").format(
        name_of(*table), text_of(text) if text else SQL("NULL")
    )


def counting_on(sequence: tuple[str, str], other: tuple[str, str]) -> Composed:
    """Let a sequence go on behind where another one is.

    Some numbers are left out: nothing keeps a session from asking the other one for its next number, by the name that
    both had, in the moment of the exchange.
    """
    return SQL(
        "-- one row: where it goes on\nSELECT setval({0}::regclass, CASE WHEN q.seqincrement > 0"
        " THEN least(s.last_value::numeric + {1} * q.seqincrement, q.seqmax)"
        " ELSE greatest(s.last_value::numeric + {1} * q.seqincrement, q.seqmin) END::bigint, true)"
        " FROM {2} AS s CROSS JOIN pg_sequence AS q WHERE q.seqrelid = {0}::regclass"
    ).format(text_of(name_of(*sequence).as_string().replace("%%", "%")), SQL(str(_LEFT_OUT)), name_of(*other))


def owned_by(sequence: tuple[str, str], table: tuple[str, str], column: str) -> Composed:
    """Let a sequence belong to a column."""
    return SQL("-- whose it is\nALTER SEQUENCE {} OWNED BY {}").format(name_of(*sequence), name_of(*table, column))


def written_since(schema: str, table: str) -> Composed:
    """Count the rows that a transaction from `%(since)s` on has written."""
    return SQL(
        "-- one row: how many rows are younger than a transaction\nSELECT count(*) AS rows FROM {} AS t"
        " WHERE age(t.xmin) <= age(%(since)s::xid8::xid)"
    ).format(name_of(schema, table))


def locking(schema: str, *tables: str) -> Composed:
    """Keep everybody from tables until the transaction ends."""
    return SQL("-- nobody reads or writes\nLOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(
        SQL(", ").join(name_of(schema, table) for table in tables)
    )
