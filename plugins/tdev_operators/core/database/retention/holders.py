"""Who holds a table, for people who could end that."""

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.sql import load_sql


def holders(session: Session, *oids: int, seconds: float = 0.0, people: bool = False) -> str:
    """Name who has held one of these tables, or a part of it, for so long; empty when nobody has.

    `people`: but for autovacuum, which gives way when somebody waits.
    """
    rows = [row for oid in oids for row in session.rows(load_sql("retention/holders"), {"oid": oid})]
    return "; ".join(
        f"{row['holder']}, for {row['seconds']:.0f} s"
        for row in rows
        if row["seconds"] >= seconds and not (people and row["gives_way"])
    )
