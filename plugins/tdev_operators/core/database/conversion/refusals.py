"""Every reason for which a table is not converted, a sentence each, before anything is made."""

from collections.abc import Mapping
from typing import Any

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.alone import APPLICATION
from tdev_operators.core.database.care.disk import Disk
from tdev_operators.core.database.conversion.names import new_name, old_name
from tdev_operators.core.database.conversion.plan import Plan
from tdev_operators.core.database.ports import CarePorts
from tdev_operators.core.database.retention.settings import PartitionRule
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
    "is filled by a subscription": "it would fill the former table's number no more, and lose what comes; take it out",
    "publishes it": "take the table out of it, and put it in again when it is converted",
    "would be lost": "set it back, and anew when the table is converted",
    "refers to it by its number, not by its name": "drop it, and make it anew when the table is converted",
}


def refusals(
    ports: CarePorts, settings: Settings, session: Session, wanted: PartitionRule, plan: Plan, *, again: bool = False
) -> list[TdevError]:
    """Return why the table cannot be converted as it is now; nothing is touched.

    `again`: what a way back has left stands there, has our names, and goes first.
    """
    bind = {"oid": plan.table.oid}
    [facts] = session.rows(load_sql("conversion/facts"), bind)
    title = plan.names.title
    found: list[TdevError] = [InputError(f"{title} {why}.") for why in _of_kind(facts)]
    found += _of_rights(plan, facts)
    found += obstacles(session, plan.table.oid, title)
    found += _of_columns(session, plan)
    found += _of_indexes(plan)
    found += [] if again else _of_names(session, plan)
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
