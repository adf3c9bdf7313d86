"""What a conversion would make of a table, and every reason for which it is refused, a sentence each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg.sql import SQL, Composed

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.alone import APPLICATION
from tdev_operators.core.database.care.disk import Disk
from tdev_operators.core.database.conversion import statements
from tdev_operators.core.database.conversion.layout import Part, layout
from tdev_operators.core.database.conversion.names import Names, new_name, old_name
from tdev_operators.core.database.conversion.statements import Making
from tdev_operators.core.database.ports import CarePorts
from tdev_operators.core.database.retention.columns import name_of
from tdev_operators.core.database.retention.rules import classes_of
from tdev_operators.core.database.retention.settings import PartitionRule, RetentionRule
from tdev_operators.core.database.retention.statements import shown as shown_statement
from tdev_operators.core.database.retention.table import Table, read_table
from tdev_operators.core.errors import AccessDeniedError, BusyError, InputError, TdevError
from tdev_operators.core.reporting.wording import span
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql

_GB = 1_000_000_000
_FIRST_VERSION = 150_000
_REMEDIES = {
    "refers to it": "drop the key: a partitioned table is not unique by the column that it refers to",
    "would have to be made anew": "drop the key: while the rows are copied it would keep rows of the other table",
    "cannot stand on a partitioned table": "validate or drop it",
    "acts when its rows change": "drop it, or leave the table as it is",
    "hides its rows": "drop it, or leave the table as it is",
    "publishes it": "take the table out of it, and put it in again when it is converted",
    "refers to it by its number, not by its name": "drop it, and make it anew when the table is converted",
}


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
        ]


def read_plan(session: Session, rule: RetentionRule, wanted: PartitionRule) -> Plan:
    """Read the table, and decide what it is cut into.

    Raises:
        InputError: what `read_table` raises; it has no primary key, or would get too many partitions.
        AccessDeniedError: what `read_table` raises.
    """
    table, names = read_table(session, rule), Names.of(rule)
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


def refusals(
    ports: CarePorts, settings: Settings, session: Session, wanted: PartitionRule, plan: Plan
) -> list[TdevError]:
    """Return why the table cannot be converted as it is now; nothing is touched."""
    bind = {"oid": plan.table.oid}
    [facts] = session.rows(load_sql("conversion/facts"), bind)
    title = plan.names.title
    found: list[TdevError] = [InputError(f"{title} {why}.") for why in _of_kind(facts)]
    found += _of_rights(plan, facts)
    found += obstacles(session, plan.table.oid, title)
    found += _of_columns(session, plan)
    found += _of_indexes(plan)
    found += _of_names(session, plan)
    found += _of_room(ports, settings, session, wanted, plan)
    return found


def obstacles(session: Session, oid: int, title: str) -> list[TdevError]:
    """Return what stands on the table, or acts when its rows change."""
    return [
        InputError(f"{title}: {row['name']} {row['kind']}; {_REMEDIES[row['kind']]}.")
        for row in session.rows(load_sql("conversion/obstacles"), {"oid": oid})
    ]


def in_the_way(settings: Settings, session: Session) -> list[TdevError]:
    """Return who would make others wait behind us: a dump, an old transaction; a standby that is far behind."""
    limits = settings.care.indexes
    [now] = session.rows(load_sql("care/rebuild_guards"), {"ours": APPLICATION})
    found: list[TdevError] = []
    if not now["sees_all_sessions"]:
        found.append(
            AccessDeniedError("Our role sees only its own sessions; GRANT pg_monitor TO the user of tdev_dba.")
        )
    if now["dump"]:
        found.append(BusyError(f"A dump runs ({now['dump']}), which holds every table; wait for its end."))
    elif (age := now["open_seconds"]) and age >= limits.old_transaction_minutes * 60:
        found.append(BusyError(f"{now['holder']} has a transaction open for {span(age)}; end it first."))
    return found


def _of_kind(facts: Mapping[str, Any]) -> list[str]:
    reasons = {
        "is partitioned already; there is nothing to convert": facts["kind"] == "p",
        "is unlogged, and its successor would not be; ALTER TABLE ... SET LOGGED first": facts["persistence"] == "u",
        "is made after a type (OF), which its successor could not be": facts["typed"],
        "has row security, which a partition does not pass on; leave it as it is": facts["row_security"],
        "stands in a tablespace of its own, in which later partitions would not be; move it to the database's": facts[
            "has_tablespace"
        ],
        "inherits from another table; take it out of it": facts["inherits"],
        "belongs to an extension; leave it to that": facts["of_extension"],
        "is on a server before PostgreSQL 15; upgrade it": facts["version"] < _FIRST_VERSION,
    }
    return [why for why, applies in reasons.items() if applies]


def _of_rights(plan: Plan, facts: Mapping[str, Any]) -> list[TdevError]:
    owner, schema = facts["owner"], plan.names.schema
    found: list[TdevError] = []
    if not facts["may_act_as_owner"]:
        found.append(
            AccessDeniedError(
                f"What is made would not be {owner}'s; GRANT {owner} TO the user of tdev_dba WITH SET TRUE."
            )
        )
    if not facts["owner_may_create"]:
        found.append(
            AccessDeniedError(
                f"{owner} may make no table beside {plan.names.title}; GRANT CREATE ON SCHEMA {schema} TO {owner}."
            )
        )
    return found


def _of_columns(session: Session, plan: Plan) -> list[TdevError]:
    found: list[TdevError] = []
    for key in plan.making.keys:
        if not key.required:
            found.append(
                InputError(
                    f"The column {key.name} of {plan.names.title} may be NULL, and such a row has no partition; "
                    f"ALTER TABLE ... ALTER COLUMN {key.name} SET NOT NULL."
                )
            )
        if key.generated:
            found.append(
                InputError(f"The column {key.name} of {plan.names.title} is generated, and nothing is parted by such.")
            )
    by = next(key for key in plan.making.keys if key.name == plan.making.by)
    if by.base not in {"text", "varchar"}:
        found.append(
            InputError(
                f"The column {by.name} of {plan.names.title} is of type {by.type}: only of text and varchar is it sure "
                "that a partition holds what its list says."
            )
        )
    found += [
        InputError(f"The sequence {row['schema']}.{row['name']} stands in another schema than {plan.names.title}.")
        for row in session.rows(load_sql("conversion/sequences"), {"oid": plan.table.oid})
        if row["schema"] != plan.names.schema
    ]
    return found


def _of_indexes(plan: Plan) -> list[TdevError]:
    needed = {plan.making.by, plan.making.time.name}
    return [
        InputError(
            f"The unique index {one['name']} of {plan.names.title} is not over {' and '.join(sorted(needed))}, so that "
            "no server can enforce it on partitions; drop it, or leave the table as it is."
        )
        for one in plan.indexes
        if one["is_unique"] and not (needed <= set(one["columns"]) and one["is_immediate"])
    ]


def _of_names(session: Session, plan: Plan) -> list[TdevError]:
    names, sequences = plan.names, session.rows(load_sql("conversion/sequences"), {"oid": plan.table.oid})
    mine = [one["name"] for one in plan.indexes] + [plan.primary] + [row["name"] for row in sequences]
    made = [names.new, names.old, names.changes, *(part.name for part in plan.parts)]
    made += [old_name(name) for name in mine] + [new_name(one) for one in mine[: len(plan.indexes) + 1]]
    found: list[TdevError] = []
    if len(set(made)) < len(made):
        found.append(
            InputError(f"The names of {names.title}'s indexes are so long that ours would be equal; shorten them.")
        )
    taken = session.rows(load_sql("retention/taken_names"), {"schema": names.schema, "names": made})
    if taken:
        found.append(
            InputError(f"There is {names.schema}.{taken[0]['name']} already, a name that we need; rename or drop it.")
        )
    return found


def _of_room(
    ports: CarePorts, settings: Settings, session: Session, wanted: PartitionRule, plan: Plan
) -> list[TdevError]:
    needed, host = plan.bytes * wanted.room_percent / 100, settings.recovery.database_host
    if not host:
        if plan.bytes > wanted.unwatched_gb * _GB:
            return [
                InputError(
                    f"{plan.names.title} has {plan.bytes / _GB:,.1f} GB, and nobody tells how much disk is free; set "
                    "recovery.database_host, or raise partitions.unwatched_gb when there is room."
                )
            ]
        return []
    try:
        why = Disk.of(ports.system.hosts, host, session).lacks(plan.table.oid, needed)
    except TdevError as error:
        return [error]
    return [InputError(f"There is no room beside {plan.names.title}: {why}.")] if why else []


def _oldest(table: Table) -> Composed:
    return SQL(
        "-- one row: when the oldest row is of\nSELECT min(t.{0})::timestamptz AS oldest FROM {1} AS t"
        " WHERE t.{0} >= '1900-01-01' AND t.{0} < 'infinity'"
    ).format(name_of(table.time.name), name_of(table.schema, table.name))


def shown(plan: Plan) -> list[str]:
    """Return the statements and what there is to know, line by line."""
    making, names = plan.making, plan.names
    lines = [
        f"-- {names.title}: about {plan.table.rows_about} rows, {plan.bytes} bytes; {plan.leaves} partitions",
        (
            f"-- its key becomes ({', '.join(key.name for key in making.keys)}): that "
            f"({', '.join(key.name for key in plan.table.key)}) alone is unique is no longer enforced by the server"
        ),
    ]
    every = [*plan.made(), *making.triggers(names.table)]
    every += [statements.index(new_name(one["name"]), (names.schema, names.new), one) for one in plan.indexes]
    return lines + [shown_statement(one) for one in every]
