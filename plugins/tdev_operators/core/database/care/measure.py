"""Measuring an index instead of guessing: `pgstattuple` says how full it is, `amcheck` whether it is right."""

import math
from dataclasses import dataclass
from typing import Self

from psycopg.sql import SQL, Identifier

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.care.indexes import Index
from tdev_operators.core.sql import load_sql

_CALLED = {"pgstattuple": "pgstatindex(regclass)", "amcheck": "bt_index_check(regclass, boolean)"}


@dataclass(frozen=True, slots=True)
class Instruments:
    """The schemas in which the extensions' functions stand; None where one is not installed, or not for us."""

    pgstattuple: str | None
    amcheck: str | None
    forbidden: tuple[str, ...] = ()

    @classmethod
    def of(cls, session: Session) -> Self:
        """See what is installed in this database."""
        rows = session.rows(load_sql("care/extensions"))
        schemas = {row["name"]: row["schema_name"] for row in rows if row["may"]}
        forbidden = tuple(row["name"] for row in rows if not row["may"])
        return cls(schemas.get("pgstattuple"), schemas.get("amcheck"), forbidden)

    def lacking(self, extension: str) -> str:
        """Say what to do so that an extension can be used."""
        if extension in self.forbidden:
            return f"GRANT EXECUTE ON FUNCTION {_CALLED[extension]} TO our role"
        return f"CREATE EXTENSION {extension} in this database"


def leaf_density(session: Session, instruments: Instruments, index: Index) -> float | None:
    """Return how full the leaf pages are, in percent (a new index has its fillfactor, 90); None when it is empty.

    Deleted pages count as empty ones: they are used again one day, and lie about until then. It reads the whole index.
    Call it only with `instruments.pgstattuple`.
    """
    name = Identifier(instruments.pgstattuple or "public", "pgstatindex")
    statement = SQL(
        "-- how full the leaf pages of one index are\n"
        "SELECT avg_leaf_density * leaf_pages AS filled, leaf_pages + empty_pages + deleted_pages AS pages "
        "FROM {}({}::oid::regclass)"
    )
    [row] = session.rows(statement.format(name, index.oid))
    filled, pages = float(row["filled"]), float(row["pages"])
    return None if math.isnan(filled) or not pages else filled / pages


def verify(session: Session, instruments: Instruments, index: Index) -> None:
    """Look through an index, and whether every row of its table is in it. Call it only with `instruments.amcheck`.

    Raises:
        GarbledAnswerError: the index is damaged.
    """
    name = Identifier(instruments.amcheck or "public", "bt_index_check")
    statement = SQL("-- whether one index is right\nSELECT {}({}::oid::regclass, true)")
    session.rows(statement.format(name, index.oid))
