"""Which indexes are worth a measurement: their size against what a new one would take, by the columns' statistics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from psycopg.sql import SQL, Composed, Identifier

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.care.needs import Table, Work
from tdev_operators.core.database.care.settings import IndexCareSettings
from tdev_operators.core.database.wording import shown_name, untitled
from tdev_operators.core.sql import load_sql

MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Index:
    """A B-tree index as `care/indexes.sql` found it; without `least_bytes` nobody can estimate it."""

    oid: int
    index_schema: str
    index_name: str
    table_oid: int
    table_schema: str
    table_name: str
    bytes: int
    expected_bytes: int | None
    least_bytes: int | None
    fillfactor: float
    owner: str
    may: bool

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Read a row."""
        return cls(**{name: row[name] for name in cls.__slots__})

    @property
    def name(self) -> str:
        """The name for people: the schema stands before it when it is not `public`."""
        return shown_name(self.index_schema, self.index_name)

    @property
    def identifier(self) -> Identifier:
        """The name for statements."""
        return Identifier(self.index_schema, self.index_name)

    @property
    def statement(self) -> Composed:
        """The rebuild, as it is run and as a dry run prints it."""
        return SQL("-- the rebuild of one index\nREINDEX INDEX CONCURRENTLY {}").format(self.identifier)

    @property
    def text(self) -> str:
        """The statement without its title."""
        return untitled(self.statement) + ";"

    @property
    def is_toast(self) -> bool:
        """Whether it is the index of a TOAST table, which has no statistics."""
        return self.table_schema == "pg_toast"

    def waste_percent(self, *, at_most: bool) -> float | None:
        """Return the estimated waste: what a new one would not take. `at_most`: as if equal keys were kept together.

        None: a column has no statistics.
        """
        new = self.least_bytes if at_most else self.expected_bytes
        return None if new is None else max(0.0, 100 * (1 - new / max(self.bytes, 1)))

    def is_suspect(self, limits: IndexCareSettings) -> bool:
        """Whether it should be measured. What cannot be estimated should be."""
        waste = self.waste_percent(at_most=True)
        return waste is None or waste >= limits.estimated_waste_percent


@dataclass(frozen=True, slots=True)
class IndexSurvey:
    """The indexes that should be measured, the most wasteful first, and how many are as large as that."""

    suspects: tuple[Index, ...]
    looked_at: int


def survey_indexes(session: Session, limits: IndexCareSettings) -> IndexSurvey:
    """Estimate every large index of the database."""
    rows = session.rows(load_sql("care/indexes"), {"minimum_bytes": round(limits.minimum_mb * MB)})
    found = [index for row in rows if (index := Index.of(row)).is_suspect(limits)]
    found.sort(key=lambda index: -(index.bytes - (index.least_bytes or 0)))
    return IndexSurvey(tuple(found), len(rows))


def analysis_of(index: Index) -> Work:
    """Return the ANALYZE of an index's table: on old statistics an estimate says nothing."""
    table = Table(index.table_oid, index.table_schema, index.table_name, index.owner, index.may)
    reasons = (f"{index.name} looks thin",)
    return Work(table, vacuum=False, analyze=True, freeze=False, keep_end=False, reasons=reasons, urgency=1.0)
