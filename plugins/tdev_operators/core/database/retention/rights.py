"""Rights on tables that we make: nobody's but the owner's, whatever ALTER DEFAULT PRIVILEGES gives away."""

from psycopg.sql import SQL, Composed

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.retention.columns import name_of
from tdev_operators.core.sql import load_sql


def revoking(kind: str, relation: tuple[str, str], grantee: str) -> Composed:
    """Take all rights of somebody on a TABLE or SEQUENCE, and what he passed on; an empty name is PUBLIC."""
    return SQL("-- no right\nREVOKE ALL ON {} {} FROM {} CASCADE").format(
        SQL(kind), name_of(*relation), name_of(grantee) if grantee else SQL("PUBLIC")
    )


def keep_private(session: Session, schema: str, name: str) -> None:
    """Take from everybody else what default privileges gave on a table that was just made: rows go through the root."""
    [made] = session.rows(load_sql("conversion/relation"), {"schema": schema, "name": name})
    for grantee in sorted(
        {row["grantee"] for row in session.rows(load_sql("conversion/grants"), {"oid": made["oid"]})}
    ):
        session.rows(revoking("TABLE", (schema, name), grantee), {})
