"""Rights on tables that we make: nobody's but the owner's, whatever ALTER DEFAULT PRIVILEGES gives away."""

from collections.abc import Sequence

from psycopg.sql import SQL, Composed

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.retention.columns import name_of
from tdev_operators.core.sql import load_sql


def acting_as(owner: str) -> Composed:
    """Be the owner until the transaction ends: what is made is that role's."""
    return SQL("-- as the owner\nSET LOCAL ROLE {}").format(name_of(owner))


def revoking(kind: str, relation: tuple[str, str], grantee: str) -> Composed:
    """Take all rights of somebody on a TABLE or SEQUENCE, and what he passed on; an empty name is PUBLIC."""
    return SQL("-- no right\nREVOKE ALL ON {} {} FROM {} CASCADE").format(
        SQL(kind), name_of(*relation), name_of(grantee) if grantee else SQL("PUBLIC")
    )


def keep_private(session: Session, schema: str, names: Sequence[str]) -> None:
    """Take from everybody else what default privileges gave on tables that were just made: rows go through the root."""
    for row in session.rows(load_sql("retention/given_away"), {"schema": schema, "names": list(names)}):
        session.rows(revoking("TABLE", (schema, row["name"]), row["grantee"]), {})
