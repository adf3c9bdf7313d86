"""What a conversion would make of a table, and every reason for which it is refused, a sentence each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg.sql import SQL, Composed

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.conversion import statements
from tdev_operators.core.database.conversion.layout import Part, layout
from tdev_operators.core.database.conversion.making import Making
from tdev_operators.core.database.conversion.names import Names, new_name, old_name
from tdev_operators.core.database.retention.columns import name_of
from tdev_operators.core.database.retention.rules import classes_of
from tdev_operators.core.database.retention.settings import PartitionRule, RetentionRule
from tdev_operators.core.database.retention.statements import shown as shown_statement
from tdev_operators.core.database.retention.table import Table, read_table, refuse_odd_key
from tdev_operators.core.errors import InputError
from tdev_operators.core.sql import load_sql

EXCHANGE = "-- once both sides are proven the same, in one transaction, with sequences, rights, comment and triggers:"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is made: partitions in order, and what else the table has that its successor gets too."""

    names: Names
    table: Table
    making: Making
    parts: tuple[Part, ...]
    primary: str
    indexes: tuple[Mapping[str, Any], ...]  # but for the primary key
    options: tuple[Mapping[str, str], ...]
    owner: str
    bytes: int

    @property
    def leaves(self) -> int:
        """How many partitions hold rows."""
        return sum(1 for part in self.parts if not part.values)

    def made(self) -> list[Composed]:
        """Return the statements that make the new table, without touching the old one."""
        making = self.making
        return [
            making.new((self.names.schema, self.names.table), new_name(self.primary)),
            *(making.part(part, self.options) for part in self.parts),
            making.changes(),
            making.note(),
            making.note_is_ours(),
        ]

    def exchanged(self) -> list[Composed]:
        """Return the statements by which the new table takes the old one's place, but for sequences and rights."""
        names, schema = self.names, self.names.schema
        found = [statements.locking(schema, names.new, names.table)]
        for table, away, name in ((names.table, names.old, old_name), (names.new, names.table, new_name)):
            found.append(statements.renaming("TABLE", schema, table, away))
            pairs = [(one, name(one)) for one in (self.primary, *(index["name"] for index in self.indexes))]
            for position, (given, aside) in enumerate(pairs):
                old, new = (given, aside) if name is old_name else (aside, given)
                if position == 0 or self.indexes[position - 1]["constraint_name"]:
                    found.append(statements.renaming_constraint((schema, away), old, new))
                else:
                    found.append(statements.renaming("INDEX", schema, old, new))
        return found


def read_plan(session: Session, rule: RetentionRule, wanted: PartitionRule) -> Plan:
    """Read the table, and decide what it is cut into.

    Raises:
        InputError: what `read_table` and `refuse_odd_key` raise; there is no primary key; there were too many
            partitions.
        AccessDeniedError: what `read_table` raises.
    """
    table, names = read_table(session, rule), Names.of(rule)
    refuse_odd_key(table.walked_by_key(), compared=True)
    by_name = {column.name: column for column in table.columns}
    indexes = session.rows(load_sql("conversion/indexes"), {"oid": table.oid})
    primary = next((one for one in indexes if one["is_primary"]), None)
    if primary is None:
        raise InputError(f"The table {rule.name} has no primary key, by which its rows could be followed; add one.")
    if wanted.by not in by_name:
        raise InputError(f"The table {rule.name} has no column {wanted.by}; mend [retention.rules.partitions].")
    [now] = session.rows(load_sql("retention/now"))
    names_of_key = dict.fromkeys([*primary["columns"], wanted.by, rule.time_column])
    keys = tuple(by_name[name] for name in names_of_key)
    [oldest] = session.rows(_oldest(table), {})
    parts = layout(rule.table, names.new, wanted, classes_of(rule, now["now"]), now["now"], oldest["oldest"])
    [facts] = session.rows(load_sql("conversion/facts"), {"oid": table.oid})
    return Plan(
        names=names,
        table=table,
        making=Making(names, table.columns, keys, wanted.by, table.time),
        parts=parts,
        primary=primary["constraint_name"],
        indexes=tuple(one for one in indexes if not one["is_primary"]),
        options=tuple(session.rows(load_sql("retention/options"), {"oid": table.oid})),
        owner=facts["owner"],
        bytes=facts["bytes"],
    )


def _oldest(table: Table) -> Composed:
    return SQL(
        "-- one row: when the oldest row is of\nSELECT min(t.{0})::timestamptz AS oldest FROM {1} AS t"
        " WHERE t.{0} >= '1900-01-01' AND t.{0} < 'infinity'"
    ).format(name_of(table.time.name), name_of(table.schema, table.name))


def shown(plan: Plan, wanted: PartitionRule) -> list[str]:
    """Return the statements and what there is to know, line by line."""
    making, names = plan.making, plan.names
    lines = [
        f"-- {names.title}: about {plan.table.rows_about} rows, {plan.bytes} bytes; {plan.leaves} partitions",
        f"-- asks for {plan.bytes * wanted.room_percent / 100:.0f} bytes of free disk, {wanted.room_percent:g} % of it",
        (
            f"-- its key becomes ({', '.join(key.name for key in making.keys)}): that "
            f"({', '.join(key.name for key in plan.table.key)}) alone is unique is no longer enforced by the server"
        ),
    ]
    every = [*plan.made(), *making.triggers(names.table)]
    new = (names.schema, names.new)
    every += [
        (statements.constraint if one["constraint_name"] else statements.index)(new_name(one["name"]), new, one)
        for one in plan.indexes
    ]
    lines += [shown_statement(one) for one in every]
    return [*lines, EXCHANGE, *(shown_statement(one) for one in plan.exchanged())]
