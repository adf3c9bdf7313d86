"""What a table needs, and in which order tables get it. Pure: rows of `care/tables.sql` in, statements out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from psycopg.sql import SQL, Composed, Identifier

from tdev_operators.core.database.care.settings import CareSettings
from tdev_operators.core.database.wording import shown_name, untitled


@dataclass(frozen=True, slots=True)
class Table:
    """A table as `care/tables.sql` found it."""

    oid: int
    schema_name: str
    table_name: str
    owner: str
    may: bool
    rows_estimated: float = 0
    invisible_pages: int = 0
    dead: float = 0
    changed: float = 0
    written: float = 0
    age_percent: float = 0
    is_dead: bool = False
    is_invisible: bool = False
    is_old: bool = False
    is_changed: bool = False
    always: bool = False

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Read a row."""
        return cls(**{name: row[name] for name in cls.__slots__})

    @property
    def name(self) -> str:
        """The name for people: the schema stands before it when it is not `public`."""
        return shown_name(self.schema_name, self.table_name)

    @property
    def identifier(self) -> Identifier:
        """The name for statements."""
        return Identifier(self.schema_name, self.table_name)


@dataclass(frozen=True, slots=True)
class Work:
    """One statement on one table. `keep_end`: it is hot, so that its empty end is not cut off (which locks it)."""

    table: Table
    vacuum: bool
    analyze: bool
    freeze: bool
    keep_end: bool
    reasons: tuple[str, ...]
    urgency: float

    @property
    def statement(self) -> Composed:
        """The statement, as it is run and as a dry run prints it."""
        title = SQL("-- the care of one table\n")
        if not self.vacuum:
            return title + SQL("ANALYZE (SKIP_LOCKED) {}").format(self.table.identifier)
        wanted = {"FREEZE": self.freeze, "ANALYZE": self.analyze, "SKIP_LOCKED": True, "TRUNCATE false": self.keep_end}
        options = SQL(", ").join(SQL(name) for name, on in wanted.items() if on)
        return title + SQL("VACUUM ({}) {}").format(options, self.table.identifier)

    @property
    def text(self) -> str:
        """The statement without its title."""
        return untitled(self.statement) + ";"


def binds(limits: CareSettings) -> dict[str, Any]:
    """Return the binds of `care/tables.sql`."""
    return {
        "always": list(limits.always_analyze),
        "dead_minimum": limits.dead_minimum,
        "dead_percent": limits.dead_percent,
        "invisible_pages": limits.invisible_minimum_pages,
        "invisible_percent": limits.invisible_percent,
        "freeze_percent": limits.freeze_percent,
        "changed_minimum": limits.changed_minimum,
        "changed_percent": limits.changed_percent,
    }


def plan(
    tables: Iterable[Table],
    limits: CareSettings,
    statistics_hours: float,
    postponed: Sequence[str] = (),
    too_long: Sequence[str] = (),
) -> list[Work]:
    """Return what to do: what nears wraparound, then what was `postponed` last time, then the neediest.

    What took `too_long` last time (names as well) comes last, so that it keeps nothing else from its turn; unless
    it nears wraparound, for what was frozen stays frozen. `statistics_hours`: for how long changes were counted.
    """
    works = [_work(table, limits, statistics_hours) for table in tables]
    waiting = {name: place for place, name in enumerate(postponed)}

    def turn(work: Work) -> tuple[bool, bool, int, float, str]:
        name = work.table.name
        return not work.freeze, name in too_long, waiting.get(name, len(waiting)), -work.urgency, name

    return sorted(works, key=turn)


def _work(table: Table, limits: CareSettings, statistics_hours: float) -> Work:
    of_dead = 100 * table.dead / max(table.rows_estimated + table.dead, 1)
    of_changed = 100 * table.changed / max(table.rows_estimated, 1)
    reasons = []
    if table.is_old:
        reasons.append(f"age {table.age_percent:.0f} % of the limit")
    if table.is_dead:
        reasons.append(f"{table.dead:,.0f} dead rows ({of_dead:.0f} %)")
    if table.is_invisible:
        reasons.append(f"{table.invisible_pages:,} pages that index-only scans must visit")
    if table.is_changed:
        reasons.append(f"{table.changed:,.0f} rows changed since it was analyzed")
    if not reasons:
        reasons.append("always analyzed")
    vacuum = table.is_old or table.is_dead or table.is_invisible
    return Work(
        table=table,
        vacuum=vacuum,
        analyze=table.is_changed or table.always,
        freeze=table.is_old,
        keep_end=table.written / max(statistics_hours, 1.0) >= limits.hot_changes_per_hour,
        reasons=tuple(reasons),
        # Of what nears wraparound, how near it is; else how many times over its limit.
        urgency=table.age_percent
        if table.is_old
        else max(
            of_dead / max(limits.dead_percent, 1) if table.is_dead else 0.0,
            of_changed / max(limits.changed_percent, 1) if table.is_changed else 0.0,
            1.0,
        ),
    )
