"""Retention from plan to receipt: each table of `[[retention.rules]]` on its own, resumable under the run's id."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from tdev_operators.core.backup.database.catalogue import pin
from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.alone import alone
from tdev_operators.core.database.parameters import put
from tdev_operators.core.database.ports import CarePorts
from tdev_operators.core.database.retention.ahead import partitions_ahead
from tdev_operators.core.database.retention.archive import Part, archive_rows, archived_parts
from tdev_operators.core.database.retention.pace import Pacer
from tdev_operators.core.database.retention.partitions import finish_begun, remove_partitions, whole_partitions
from tdev_operators.core.database.retention.receipt import (
    PLAN,
    PROGRESS,
    RECEIPT,
    Counts,
    Folder,
    Journal,
    Progress,
    earlier,
)
from tdev_operators.core.database.retention.removal import Limits, Removal
from tdev_operators.core.database.retention.rules import RowClass, classes_of
from tdev_operators.core.database.retention.settings import RetentionRule
from tdev_operators.core.database.retention.statements import Statements
from tdev_operators.core.database.retention.table import Table, read_table, refuse_odd_key
from tdev_operators.core.database.retention.told import conservation, dry, failed, told
from tdev_operators.core.errors import (
    AccessDeniedError,
    GarbledAnswerError,
    InputError,
    ProofFailedError,
    TdevError,
    TransientError,
)
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult

JOB = "retention"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Request:
    """One run. `run_id` is the same in every try of it. `unpaced` gives way to nobody, for empty nights."""

    run_id: str
    dry_run: bool = False
    unpaced: bool = False


def clean(
    ports: CarePorts,
    settings: Settings,
    request: Request,
    *,
    journal: Journal,
    progress: Callable[[str], None] = lambda _: None,
    check: Callable[[], None] = lambda: None,
) -> tuple[CheckResult, ...]:
    """Archive and remove what is due in every table of the rules; return one result a table, and the balance of all.

    Tables in partitions get those that are to come first, with a result of its own.

    `journal` notes what is going to be removed, and raises where that cannot be noted; `check` raises when the run is
    no longer ours. A table that is refused, or whose proof fails, keeps its rows, and the others are done all the same.

    Raises:
        TransientError: database or store were away, or another run is at work; another try under the same id goes on.
        InputError: the server is a standby.
    """
    until = time.monotonic() + settings.retention.max_minutes * 60
    results: list[CheckResult] = []
    receipts: list[dict[str, Any]] = []
    away: TransientError | None = None
    with alone(ports.database, JOB) as session:
        pin(session)
        # For the whole session: whoever waits for a lock makes others wait behind him.
        put(session, {"lock_timeout": str(settings.retention.lock_timeout_ms)})
        if not request.unpaced:
            put(session, {"max_parallel_workers_per_gather": "0"})
            session.rows(load_sql("retention/lean_log"))
        # First, and in transactions of their own: rows must find a partition, whatever becomes of the removal.
        ahead = partitions_ahead(session, settings.retention, journal=journal, dry_run=request.dry_run)
        for rule in settings.retention.rules:
            work = _Work(ports, settings, request, rule, session, journal, progress, check, until)
            try:
                if request.dry_run:
                    results.append(work.dry_run())
                    continue
                receipts.append(receipt := work.run())
                results.append(told(receipt))
            except (AccessDeniedError, GarbledAnswerError, InputError, ProofFailedError) as error:
                results.append(failed(rule, error))
            except TransientError as error:
                away = away or error
                progress(f"{rule.name}: {error}")
    if away:
        raise away
    if receipts:
        results.append(conservation(receipts))
    return (*results, ahead) if ahead else tuple(results)


@dataclass(frozen=True, slots=True)
class _Work:
    """One table in one run."""

    ports: CarePorts
    settings: Settings
    request: Request
    rule: RetentionRule
    session: Session
    journal: Journal
    progress: Callable[[str], None]
    check: Callable[[], None]
    until: float

    def dry_run(self) -> CheckResult:
        """Say what would be removed, with the statements."""
        table = self._table()
        [now] = self.session.rows(load_sql("retention/now"))
        classes = classes_of(self.rule, now["now"])
        statements = Statements(table, classes)
        [due] = self.session.rows(statements.due_rows(), {})
        return dry(self.rule, statements, whole_partitions(self.session, table, classes), due)

    def _table(self) -> Table:
        table = read_table(self.session, self.rule)
        refuse_odd_key(table, compared=self.rule.archive or any(one.archive for one in self.rule.exceptions))
        return table

    def run(self) -> dict[str, Any]:
        """Do what is left to do, and return the receipt."""
        rules = self.settings.retention
        folder = Folder.of(
            self.ports.store,
            self.settings.buckets.backups,
            self.settings.system.name,
            rules.archive_folder,
            self.request.run_id,
            self.rule.name,
        )
        if (done := folder.read(RECEIPT)) is not None and done["finished"]:
            return done | {"again": True}
        table = self._table()
        plan = self._planned(folder, table)
        classes = _classes(plan)
        statements = Statements(table, classes)
        self.journal("retention_intended", {"table": table.title, "rows_go": [one.told for one in classes]})
        parts = archive_rows(
            self.session,
            statements,
            folder,
            part_rows=rules.part_rows,
            page_rows=rules.page_rows,
            metadata={"tdev": json.dumps(plan)},
            check=self.check,
        )
        archived = sum(part.rows for part in parts)
        self.progress(f"{table.title}: {archived} rows are archived and proven in {folder.place}")
        self.journal("retention_removes", {"table": table.title, "archived": archived, "receipt": folder.place})
        return self._removed(folder, statements, plan, parts)

    def _removed(
        self, folder: Folder, statements: Statements, plan: dict[str, Any], parts: list[Part]
    ) -> dict[str, Any]:
        rules = self.settings.retention
        [begun] = self.session.rows(load_sql("retention/now"))
        pacer = Pacer(rules.pace, unpaced=self.request.unpaced, wal=begun["wal"])
        pacer.refuse_blind(self.session)
        limits = Limits(rules.lock_timeout_ms, rules.tries, self.until)
        removal = Removal(self.session, statements, folder, plan["horizon"], pacer, limits, self.check)
        started = time.monotonic()
        try:
            removal.settle(parts)
            finish_begun(removal)
            self._finish_earlier(folder, removal, limits)
            partitions = whole_partitions(self.session, statements.table, statements.classes)
            in_time = removal.archived(parts)
            in_time = in_time and remove_partitions(removal, partitions, count=rules.count_partitions)
            if in_time and statements.discards:
                in_time = removal.ranges()
            counts = removal.progress.counts
            counts.seconds = time.monotonic() - started
            [now] = self.session.rows(load_sql("retention/pressure"), {"since": begun["wal"]})
            counts.wal_bytes += now["wal_bytes"]
            removal.save()
            [untimed] = self.session.rows(statements.without_time(), {})
        except BaseException as error:
            # What went until then stands on a receipt, too; a retry writes it anew.
            with suppress(TdevError):
                removal.close()
            with suppress(TdevError):
                self._write_receipt(folder, plan, removal, parts, {"finished": False, "stopped": str(error)})
            raise
        facts = {"without_time": untimed["rows"], "pauses": pacer.reasons, "finished": in_time}
        return self._write_receipt(folder, plan, removal, parts, facts)

    def _write_receipt(
        self, folder: Folder, plan: dict[str, Any], removal: Removal, parts: list[Part], facts: dict[str, Any]
    ) -> dict[str, Any]:
        table, progress = removal.statements.table, removal.progress
        receipt = _receipt(plan, table, parts, progress.counts) | {
            "place": folder.place,
            "without_time": 0,
            "left": progress.left,
            "unsure": progress.unsure,
            "remarks": [*progress.remarks, *_cut_off(progress)],
            "pauses": {},
            **facts,
            "ended": self.ports.clock().isoformat(),
        }
        folder.write(RECEIPT, receipt)
        self.journal("retention_done", {"table": table.title, "receipt": folder.place, **asdict(progress.counts)})
        return receipt

    def _finish_earlier(self, folder: Folder, removal: Removal, limits: Limits) -> None:
        """End what an earlier run had begun and its tries never ended, on that run's own receipt."""
        table = removal.statements.table
        for other in earlier(folder):
            plan, left = other.read(PLAN), other.read(PROGRESS)
            if not (plan and left and left["pending"]):
                continue
            pacer, statements = Pacer(self.settings.retention.pace), Statements(table, _classes(plan))
            parts = archived_parts(other) or []
            begun = Removal(self.session, statements, other, plan["horizon"], pacer, limits, self.check)
            if _is_another(plan, table):
                begun.give_up("what was removed by a try that was cut off: the table is another one by now")
            else:
                begun.settle(parts)
                finish_begun(begun)
            begun.save()
            facts = {"finished": False, "stopped": f"its last step was ended by {self.request.run_id}"}
            self._write_receipt(other, plan, begun, parts, facts)
            removal.progress.remarks.append(f"what {plan['run_id']} had begun was ended; see {other.place}receipt.json")
            self.progress(f"{table.title}: what {plan['run_id']} had begun is ended; see {other.place}")

    def _planned(self, folder: Folder, table: Table) -> dict[str, Any]:
        """Return the plan of this run: the moment that all is held against, computed once."""
        if (plan := folder.read(PLAN)) is not None:
            if _is_another(plan, table):
                raise InputError(
                    f"The table {table.title} is another one, or has other columns, than when {self.request.run_id} "
                    "was planned; start a new run."
                )
            return plan
        [now] = self.session.rows(load_sql("retention/now"))
        plan = {
            "version": _VERSION,
            "run_id": self.request.run_id,
            "schema": table.schema,
            "table": table.name,
            "oid": table.oid,
            "now": now["now"].isoformat(),
            "horizon": now["horizon"],
            "classes": [
                {**asdict(one), "cut_off": one.cut_off.isoformat()} for one in classes_of(self.rule, now["now"])
            ],
            "columns": [column.facts() for column in table.columns],
            "key": [column.name for column in table.key],
            "time": table.time.name,
        }
        folder.write(PLAN, plan)
        return plan


def _classes(plan: dict[str, Any]) -> tuple[RowClass, ...]:
    return tuple(RowClass(**{**one, "cut_off": datetime.fromisoformat(one["cut_off"])}) for one in plan["classes"])


def _is_another(plan: dict[str, Any], table: Table) -> bool:
    facts, key = [column.facts() for column in table.columns], [column.name for column in table.key]
    return bool((plan["oid"], plan["columns"], plan["key"]) != (table.oid, facts, key))


def _cut_off(progress: Progress) -> list[str]:
    return ["it was cut off: more rows may be gone, which the next try counts"] if progress.pending else []


def _receipt(plan: dict[str, Any], table: Table, parts: list[Part], counts: Counts) -> dict[str, Any]:
    way = "ranges of time" if table.by_time else "ranges of its key"
    return {
        **{name: plan[name] for name in ("version", "run_id", "schema", "table", "now", "classes", "key")},
        "way": f"whole partitions and {way} ({table.index})" if table.partitioned else f"{way} ({table.index})",
        "side_effects": list(table.side_effects),
        "parts": [asdict(part) for part in parts],
        "counts": asdict(counts),
        "balanced": counts.balanced,
    }
