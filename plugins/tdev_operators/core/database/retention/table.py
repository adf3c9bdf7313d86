"""What there is to know of a table before its rows go, and why some tables are refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.retention.columns import DIGEST, Column
from tdev_operators.core.database.retention.settings import RetentionRule
from tdev_operators.core.errors import AccessDeniedError, InputError
from tdev_operators.core.reporting.wording import capitalized
from tdev_operators.core.sql import load_sql

_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "S": "a sequence", "c": "a type"}
_TIMES = frozenset({"timestamptz", "timestamp", "date"})


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose rows may go. `key` identifies a row; `order` is what ranges of rows are walked by.

    `index` is the index that `order` rests on. `side_effects` are triggers and rules that the rule allows. `equals_in`
    has the schema of each column's own `=`. `odd_key` names the key's index where no ORDER BY walks it; unless it is
    `comparable`, its `=` is none of PostgreSQL's own.
    """

    oid: int
    schema: str
    name: str
    partitioned: bool
    columns: tuple[Column, ...]
    key: tuple[Column, ...]
    order: tuple[Column, ...]
    index: str
    time: Column
    rows_about: int
    bytes: int
    side_effects: tuple[str, ...] = ()
    equals_in: Mapping[str, str] = field(default_factory=dict)
    odd_key: str = ""
    comparable: bool = True

    @property
    def title(self) -> str:
        """Schema and name, for people."""
        return f"{self.schema}.{self.name}"

    @property
    def by_time(self) -> bool:
        """Whether ranges of time are walked, on an index that begins with the time column; else ranges of the key."""
        return self.order[0].name == self.time.name

    @property
    def row_bytes(self) -> int:
        """About how large a row is; 1 kB where nobody knows."""
        return max(16, self.bytes // self.rows_about) if self.rows_about else 1024

    def walked_by_key(self) -> "Table":
        """Return it as it would be walked without its index on the time."""
        return replace(self, order=self.key)


def read_table(session: Session, rule: RetentionRule) -> Table:
    """Read the table of a rule, and refuse what cannot be cleaned safely.

    Raises:
        InputError: there is no such table or column; it has no unique key; something acts when a row goes; it is a
            view, foreign, temporary, a partition, or has heirs.
        AccessDeniedError: it may not be changed; names the GRANT.
    """
    found = session.rows(load_sql("retention/table"), {"schema": rule.in_schema, "table": rule.table})
    if not found:
        raise InputError(f"There is no table {rule.name}; mend [[retention.rules]].")
    [facts] = found
    _refuse_kind(rule, facts)
    bind = {"oid": facts["oid"]}
    rows = session.rows(load_sql("retention/columns"), bind)
    equals_in = {row["name"]: row.pop("equals_in") for row in rows}
    columns = tuple(Column(**row) for row in rows)
    by_name = {column.name: column for column in columns}
    for name in (rule.time_column, *(one.column for one in rule.exceptions)):
        if name not in by_name:
            raise InputError(f"The table {rule.name} has no column {name}; mend [[retention.rules]].")
    if DIGEST in by_name:
        raise InputError(f"The table {rule.name} has a column {DIGEST}, as archives have; rename it.")
    time = by_name[rule.time_column]
    if time.base not in _TIMES:
        raise InputError(f"The column {time.name} of {rule.name} is of type {time.type} and no time; name another one.")
    indexes = session.rows(load_sql("retention/indexes"), bind)
    by_time = next((row for row in indexes if row["columns"][0] == time.name and row["walked"][0] is not None), None)
    key = _key(rule, indexes)
    keys = tuple(by_name[name] for name in key["columns"])
    return Table(
        oid=facts["oid"],
        schema=rule.in_schema,
        name=rule.table,
        partitioned=facts["kind"] == "p",
        columns=columns,
        key=keys,
        order=(time,) if by_time else keys,
        index=(by_time or key)["name"],
        time=time,
        rows_about=facts["rows_about"],
        bytes=facts["bytes"],
        side_effects=_side_effects(session, rule, facts["oid"]),
        equals_in=equals_in,
        odd_key="" if _is_walkable(key) else key["name"],
        comparable=key["is_comparable"],
    )


def refuse_odd_key(table: Table, *, compared: bool) -> None:
    """Refuse a key that rows are to be `compared` by, or walked by, and that is not fit for it.

    Raises:
        InputError: its `=` is an extension's, or its order is none that ORDER BY has.
    """
    if not table.comparable and (compared or not table.by_time):
        raise InputError(
            f"The key {table.odd_key} of {table.title} is of a type whose `=` is an extension's, which we do not trust "
            "to tell rows apart; add a unique index over columns of PostgreSQL's own types."
        )
    if table.odd_key and not table.by_time:
        raise InputError(
            f"The key {table.odd_key} of {table.title} has an order of its own (an operator class, a collation, or ASC "
            f"beside DESC), so that its rows cannot be gone through in steps; add an index on {table.time.name}."
        )


def _key(rule: RetentionRule, indexes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the index that tells rows apart: the first one that can also be walked, where there is one."""
    keys = [row for row in indexes if row["is_key"]]
    if not keys:
        raise InputError(
            f"The table {rule.name} has no primary key and no unique index over columns that are NOT NULL, so that no "
            "row can be told from another; add one."
        )
    return min(keys, key=lambda row: (not row["is_comparable"], not _is_walkable(row)))


def _is_walkable(index: Mapping[str, Any]) -> bool:
    return bool(index["is_comparable"]) and set(index["walked"]) in ({0}, {3})


def _refuse_kind(rule: RetentionRule, facts: dict[str, Any]) -> None:
    if facts["kind"] not in "rp":
        raise InputError(f"{rule.name} is {_KINDS.get(facts['kind'], 'no table')}; only a table's own rows can go.")
    why = {
        "is a temporary table, which nobody else sees": facts["persistence"] == "t",
        "is a partition; name the table that it is a part of": facts["is_partition"],
        "has tables that inherit from it, whose rows would go too": facts["has_heirs"],
    }
    for reason, applies in why.items():
        if applies:
            raise InputError(f"{rule.name} {reason}; take it out of [[retention.rules]].")
    if facts["row_security"]:
        raise AccessDeniedError(
            f"Row security hides rows of {rule.name} from us, so that they could not be counted; grant BYPASSRLS."
        )
    if not facts["may"] or not facts["owned"]:
        raise AccessDeniedError(
            f"The rows of {rule.name} may not be removed by us; GRANT {facts['owner']} TO the user of tdev_dba."
        )
    if not facts["may_loop"]:
        raise AccessDeniedError(
            f"The rows of {rule.name} go by a block of PL/pgSQL, which we may not use; "
            "GRANT USAGE ON LANGUAGE plpgsql TO the user of tdev_dba."
        )


def _side_effects(session: Session, rule: RetentionRule, oid: int) -> tuple[str, ...]:
    told = []
    for row in session.rows(load_sql("retention/obstacles"), {"oid": oid}):
        if row["kind"] == "no action":
            raise InputError(
                f"The foreign key {row['name']} of {row['on_table']} refers to {rule.name}: a row that is referred to "
                "cannot go, and keeps those beside it. Drop the key, or take the table out of [[retention.rules]]."
            )
        if row["kind"] not in {"trigger", "rule"}:
            raise InputError(
                f"The foreign key {row['name']} of {row['on_table']} refers to {rule.name} with ON DELETE "
                f"{row['kind'].upper()}: rows of another table would go or change too. Drop the key, or take "
                "the table out of [[retention.rules]]."
            )
        said = f"the {row['kind']} {row['name']} of {row['on_table']}"
        if not rule.allow_triggers:
            raise InputError(
                f"{capitalized(said)} acts when a row goes, and nobody knows what it does; set allow_triggers "
                f"of the rule for {rule.name} when that is meant."
            )
        told.append(said)
    return tuple(told)
