"""Names and statements of a database as people read them."""

from psycopg.sql import Composed


def shown_name(schema: str, name: str) -> str:
    """Return the name of a table or an index; the schema stands before it when it is not `public`."""
    return name if schema == "public" else f"{schema}.{name}"


def untitled(statement: Composed) -> str:
    """Return a statement without the comment in its first line, which tells the server's log whose it is."""
    return statement.as_string().partition("\n")[2]
