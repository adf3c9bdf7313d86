"""The way back: archived rows into their table, or into a new one beside it, and proof that they are the same."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from psycopg.sql import SQL

from tdev_operators.core.backup.database.catalogue import pin
from tdev_operators.core.backup.database.names import fitting
from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.alone import alone
from tdev_operators.core.database.parameters import put
from tdev_operators.core.database.ports import CarePorts
from tdev_operators.core.database.retention.archive import Part, archived_parts, columns_of, opened_part
from tdev_operators.core.database.retention.columns import Column, binds_of, name_of
from tdev_operators.core.database.retention.receipt import PLAN, Folder
from tdev_operators.core.database.retention.run import JOB
from tdev_operators.core.database.retention.statements import Statements
from tdev_operators.core.database.retention.table import Table
from tdev_operators.core.errors import InputError
from tdev_operators.core.reporting.wording import number
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict

CHECK = "retention.given_back"
_SUFFIX = "_given_back"


@dataclass(frozen=True, slots=True)
class GiveBack:
    """What is given back: the archive of the run `run_id`, of one `table` (`public.metrics`; empty: its only one).

    `into_table` puts the rows where they were, where the next run finds them due again; else a new table beside it.
    """

    run_id: str
    table: str = ""
    into_table: bool = False
    dry_run: bool = False


def give_back(
    ports: CarePorts,
    settings: Settings,
    request: GiveBack,
    *,
    journal: Callable[[str, Mapping[str, Any]], None],
    check: Callable[[], None] = lambda: None,
) -> CheckResult:
    """Insert the archived rows that are absent, and hold every row against the archive's digest.

    A row group is one transaction. A row that stands there under the same key, with other content, is left as it is and
    counted. Done again, it goes on: what is there already is not inserted twice.

    Raises:
        InputError: there is no such archive, or table and archive do not fit.
        ProofFailedError: an archive object is not what was stored.
    """
    folder, parts = archive_of(ports, settings, request)
    plan = folder.read(PLAN)
    if plan is None:
        raise InputError(f"{folder.place} has no plan.json, without which nobody knows what its columns were.")
    columns = columns_of(plan)
    with alone(ports.database, JOB) as session:
        pin(session)
        put(session, {"lock_timeout": str(settings.retention.lock_timeout_ms)})
        table = _table(session, plan, columns)
        target = (table.schema, table.name if request.into_table else fitting(table.name, _SUFFIX))
        rows = sum(part.rows for part in parts)
        if request.dry_run:
            return CheckResult(
                CHECK,
                Verdict.OK,
                f"Dry run: {number(rows)} rows of {folder.place} would go into {'.'.join(target)}. Nothing was done.",
                coverage=Coverage(seen=(table.title,)),
            )
        journal("give_back_intended", {"archive": folder.place, "into": ".".join(target), "rows": rows})
        if not request.into_table:
            session.rows(
                SQL("-- a table beside another\nCREATE TABLE IF NOT EXISTS {} (LIKE {} INCLUDING ALL)").format(
                    name_of(*target), name_of(table.schema, table.name)
                ),
                {},
            )
        found = {"inserted": 0, "rows": 0, "same": 0}
        for part in parts:
            _give_part(session, Statements(table, ()), folder, part, target, found, check)
    return _result(folder, ".".join(target), rows, found, into_table=request.into_table)


def archive_of(ports: CarePorts, settings: Settings, request: GiveBack) -> tuple[Folder, list[Part]]:
    """Return the folder and the parts of the archive that is asked for.

    Raises:
        InputError: there is none, or several tables have one.
    """
    bucket, system = settings.buckets.backups, settings.system.name
    place = settings.retention.archive_folder
    one = Folder.of(ports.store, bucket, system, place, request.run_id, request.table or "x")
    root = one.prefix.rpartition("/")[0].rpartition("/")[0] + "/"
    names = {info.key.removeprefix(root).partition("/")[0] for info in ports.store.list(bucket, root)}
    found = [Folder(ports.store, bucket, f"{root}{name}/") for name in sorted(names)]
    chosen = [each for each in found if not request.table or each.title == request.table]
    if len(chosen) != 1:
        titles = ", ".join(each.title for each in found) or "none"
        raise InputError(f"Say of which table the archive of {request.run_id} is wanted; it has: {titles}.")
    parts = archived_parts(chosen[0])
    if parts is None:
        raise InputError(f"The archive {chosen[0].place} was never finished, so that nothing of it was removed.")
    return chosen[0], parts


def _give_part(
    session: Session,
    statements: Statements,
    folder: Folder,
    part: Part,
    target: tuple[str, str],
    found: dict[str, int],
    check: Callable[[], None],
) -> None:
    with opened_part(folder, part) as opened:
        for group in range(opened.num_row_groups):
            check()
            rows = opened.read_row_group(group)
            binds = binds_of(statements.table.columns, rows)
            keys = binds_of(statements.table.key, rows)
            [put] = session.rows(statements.give_back(target), binds)
            [same] = session.rows(statements.same_as_archived(target), keys)
            found["inserted"] += put["inserted"]
            found["rows"] += same["rows"]
            found["same"] += same["same"]


def _table(session: Session, plan: dict[str, Any], columns: tuple[Column, ...]) -> Table:
    """Return the table as it is now, with the columns of the archive."""
    title = f"{plan['schema']}.{plan['table']}"
    found = session.rows(load_sql("retention/table"), {"schema": plan["schema"], "table": plan["table"]})
    if not found:
        raise InputError(f"There is no table {title} to give rows back to; make it first, as it was.")
    oid = found[0]["oid"]
    now = {row["name"]: row["type"] for row in session.rows(load_sql("retention/columns"), {"oid": oid})}
    gone = [f"{one.name} {one.type}" for one in columns if now.get(one.name) != one.type]
    if gone:
        raise InputError(f"{title} has no longer the columns {', '.join(gone)}; read the archive with DuckDB instead.")
    by_name = {column.name: column for column in columns}
    keys = tuple(by_name[name] for name in plan["key"])
    return Table(
        oid=oid,
        schema=plan["schema"],
        name=plan["table"],
        partitioned=found[0]["kind"] == "p",
        columns=columns,
        key=keys,
        order=keys,
        index="",
        time=by_name[plan["time"]],
        rows_about=0,
        bytes=0,
    )


def _result(folder: Folder, target: str, rows: int, found: Mapping[str, int], *, into_table: bool) -> CheckResult:
    other = found["rows"] - found["same"]
    missing = rows - found["rows"]
    verdict = Verdict.CRITICAL if missing else Verdict.WARNING if other else Verdict.OK
    again = " They are due: the next run of metric_cleanup removes them again." if into_table else ""
    return CheckResult(
        CHECK,
        verdict,
        f"{number(found['same'])} of {number(rows)} archived rows stand in {target} as they were, "
        f"{number(found['inserted'])} of them were put there now.{again}",
        measurements=(
            Measurement("archived", rows, "rows"),
            Measurement("put there now", found["inserted"], "rows"),
            Measurement("the same", found["same"], "rows"),
            Measurement("with other content", other, "rows"),
            Measurement("not there", missing, "rows", critical=1),
        ),
        hint="Rows of the same key with other content were left as they are: see which are right." if other else "",
        coverage=Coverage(seen=(target, folder.place)),
    )
