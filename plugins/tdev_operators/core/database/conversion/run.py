"""A conversion from plan to exchange, the way back, and its end. Another run goes on where the last one was.

made, copying, switched, undone: the phase stands in the catalogue, written in the transaction that makes it true.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from psycopg.sql import Composed

from tdev_operators.core.backup.database.catalogue import pin
from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.alone import alone
from tdev_operators.core.database.conversion import statements, told
from tdev_operators.core.database.conversion.following import Follower, Proven, prove
from tdev_operators.core.database.conversion.names import Names, new_name
from tdev_operators.core.database.conversion.plan import Plan, in_the_way, obstacles, read_plan, refusals, shown
from tdev_operators.core.database.conversion.request import ConversionRequest, rule_of
from tdev_operators.core.database.conversion.state import Mark, State, read_state
from tdev_operators.core.database.conversion.statements import Following, Making
from tdev_operators.core.database.conversion.switch import Exchange, as_owner, evidence_of, patiently, wait_for_older
from tdev_operators.core.database.parameters import put
from tdev_operators.core.database.ports import CarePorts
from tdev_operators.core.database.retention.pace import Pacer
from tdev_operators.core.database.retention.receipt import Folder, Journal
from tdev_operators.core.database.retention.rules import classes_of
from tdev_operators.core.database.retention.run import JOB
from tdev_operators.core.database.retention.statements import Statements
from tdev_operators.core.database.retention.statements import shown as shown_statement
from tdev_operators.core.database.retention.table import Table, read_table
from tdev_operators.core.errors import InputError, TdevError
from tdev_operators.core.maintenance_window import is_open, refuse_closed
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult

FOLDER = "partitions"  # below the archive, where our role may write
PROGRESS, RECEIPT = "conversion.json", "conversion-receipt.json"


@dataclass(frozen=True, slots=True)
class Looked:
    """What would be done, line by line, and what refuses it."""

    lines: tuple[str, ...]
    refused: tuple[TdevError, ...]


def look(ports: CarePorts, settings: Settings, request: ConversionRequest) -> Looked:
    """Say what the request would do, and why it cannot; nothing is touched.

    Raises:
        InputError: there is no such rule; the server is a standby. TransientError: it is away, or busy with retention.
    """
    with _working(ports, settings, request, lambda *_: None) as work:
        return work.look()


def carry_out(
    ports: CarePorts,
    settings: Settings,
    request: ConversionRequest,
    *,
    journal: Journal,
    progress: Callable[[str], None] = lambda _: None,
    check: Callable[[], None] = lambda: None,
) -> CheckResult:
    """Convert the table, take that back, or end the way back; return what was done.

    `journal` notes what is going to be made, exchanged or dropped, and raises where that cannot be noted; `check`
    raises when the run is no longer ours.

    Raises:
        InputError, AccessDeniedError: it is refused, and nothing was touched.
        ProofFailedError: both sides are not the same, and nothing was exchanged.
        TransientError: database or store are away, or somebody holds the table; another try goes on.
    """
    with _working(ports, settings, request, journal, progress, check) as work:
        looked = work.look()
        if request.dry_run:
            return told.dry(work.names.title, request.action, looked.lines, looked.refused)
        if looked.refused:
            raise looked.refused[0]
        match request.action:
            case "convert":
                return work.convert()
            case "undo":
                return work.undo()
            case "drop":
                return work.drop()


@contextmanager
def _working(
    ports: CarePorts,
    settings: Settings,
    request: ConversionRequest,
    journal: Journal,
    progress: Callable[[str], None] = lambda _: None,
    check: Callable[[], None] = lambda: None,
) -> "Iterator[_Work]":
    """Keep retention and other conversions out meanwhile."""
    with alone(ports.database, JOB) as session:
        pin(session)
        put(session, {"lock_timeout": str(settings.retention.lock_timeout_ms)})
        yield _Work(ports, settings, request, session, journal, progress, check)


class _Work:
    """One run."""

    def __init__(
        self,
        ports: CarePorts,
        settings: Settings,
        request: ConversionRequest,
        session: Session,
        journal: Journal,
        progress: Callable[[str], None],
        check: Callable[[], None],
    ) -> None:
        self.ports, self.settings, self.request, self.session = ports, settings, request, session
        self.journal, self.progress, self.check = journal, progress, check
        self.rule, self.wanted = rule_of(settings, request)
        self.names = Names.of(self.rule)
        self.folder = Folder.of(
            ports.store,
            settings.buckets.backups,
            settings.system.name,
            settings.retention.archive_folder,
            FOLDER,
            self.rule.name,
        )

    def look(self) -> Looked:
        """Say what would be done, and what refuses it."""
        found: list[TdevError] = []
        lines: list[str] = []
        try:
            state = read_state(self.session, self.names)
            match self.request.action:
                case "convert":
                    lines, found = self._look_forward(state)
                case "undo":
                    lines, found = self._look_back(state)
                case "drop":
                    lines, found = self._look_at_the_end(state)
            found += in_the_way(self.settings, self.session)
            if not self.request.now:
                refuse_closed(
                    self.settings.system.maintenance_window,
                    self.ports.clock(),
                    f"The exchange of {self.names.title} keeps everybody from it for a moment",
                )
        except TdevError as error:
            found.append(error)
        return Looked(tuple(lines), tuple(found))

    def convert(self) -> CheckResult:
        """Make what is missing, copy, follow, prove, exchange."""
        state = read_state(self.session, self.names)
        if state.phase == "switched":
            before = told.converted_before(self.names.title, state.mark.switched_at)
            return self._written(before, "partition_switched", 0.0)
        if state.phase == "undone":
            self._clear(state)
            state = read_state(self.session, self.names)
        plan = read_plan(self.session, self.rule, self.wanted)
        if state.phase == "none":
            state = self._make(plan)
        mark = state.mark if state.phase == "copying" else self._arm(plan, state.mark)
        follower = self._follower(plan.table, plan.making, forward=True)
        if not self._copied(follower, plan, mark):
            return told.waits_for_window(self.names.title, follower.followed)
        self._index(plan, mark)
        follower.follow()
        proven = self._prove(follower)
        if self._is_over():
            return told.waits_for_window(self.names.title, follower.followed)
        if found := obstacles(self.session, mark.old_oid, self.names.title):
            raise found[0]
        self.journal("partition_switch_intended", {"table": self.names.title, "rows": proven.rows})
        seconds, done = self._exchange(plan.making, plan.owner, mark, follower, forward=True)
        after = read_state(self.session, self.names)
        result = told.converted(self.names, plan, follower.followed, proven, seconds, after.bytes, done.switched_at)
        return self._written(result, "partition_switched", seconds)

    def undo(self) -> CheckResult:
        """Let the former table take its place again, with all that was written since; or clear away what was begun."""
        state = read_state(self.session, self.names)
        if state.phase != "switched":
            self.journal("partition_clear_intended", {"table": self.names.title, "phase": state.phase})
            self._clear(state)
            return self._written(told.cleared(self.names.title), "partition_cleared", 0.0)
        table = read_table(self.session, self.rule)
        making, owner = self._making(table, state.mark), self._owner(table)
        follower = self._follower(table, making, forward=False)
        follower.follow()
        proven = self._prove(follower, back=True)
        self.journal("partition_undo_intended", {"table": self.names.title, "rows": proven.rows})
        seconds, done = self._exchange(making, owner, state.mark, follower, forward=False)
        self._clear(replace(state, mark=done))
        return self._written(
            told.undone(self.names.title, follower.followed, proven, seconds), "partition_undone", seconds
        )

    def drop(self) -> CheckResult:
        """Drop the former table; from then on there is no way back."""
        state = read_state(self.session, self.names)
        table = read_table(self.session, self.rule)
        making, owner = self._making(table, state.mark), self._owner(table)
        self.journal("partition_drop_intended", {"table": f"{self.names.schema}.{self.names.old}"})

        def work() -> float:
            with as_owner(self.session, owner):
                for statement in (*making.no_triggers(self.names.table), *making.gone(self.names.old)):
                    self.session.rows(statement, {})
            return 0.0

        patiently(self.session, self.settings, state.mark.new_oid, work)
        return self._written(told.dropped(self.names, state), "partition_dropped", 0.0)

    def _look_forward(self, state: State) -> tuple[list[str], list[TdevError]]:
        if state.phase == "switched":
            return [f"-- {self.names.title} was converted at {state.mark.switched_at}"], []
        if state.phase == "none" and state.live_kind == "p":
            raise InputError(f"{self.names.title} is partitioned already; there is nothing to convert.")
        plan = read_plan(self.session, self.rule, self.wanted)
        if state.phase == "none":
            return shown(plan), refusals(self.ports, self.settings, self.session, self.wanted, plan)
        lines = [
            f"-- {state.mark.run_id} has begun ({state.phase}, {state.aside_bytes} bytes so far); it is gone on with"
        ]
        return [*lines, *shown(plan)], obstacles(self.session, state.live_oid, self.names.title)

    def _look_back(self, state: State) -> tuple[list[str], list[TdevError]]:
        if state.phase == "none":
            raise InputError(f"No conversion of {self.names.title} was begun, or its way back has ended.")
        lines = [f"-- {state.mark.run_id} is {state.phase}"]
        if state.phase != "switched":
            making = self._making(read_table(self.session, self.rule), state.mark)
            gone = [*making.no_triggers(self.names.table), *making.gone(self.names.new)]
            return lines + [shown_statement(one) for one in gone], []
        lines.append(
            f"-- what was written since {state.mark.switched_at} goes into {self.names.old}, is proven, and it takes "
            "its place again; rows that retention has removed since are there again, and due"
        )
        return lines, obstacles(self.session, state.live_oid, self.names.title)

    def _look_at_the_end(self, state: State) -> tuple[list[str], list[TdevError]]:
        title = f"{self.names.schema}.{self.names.old}"
        if state.phase != "switched":
            raise InputError(f"{self.names.title} was not converted, or its former table is dropped: nothing to drop.")
        found = [*obstacles(self.session, state.mark.old_oid, title)]
        until = datetime.fromisoformat(state.mark.switched_at) + timedelta(days=self.wanted.keep_days)
        if self.ports.clock() < until:
            found.append(InputError(f"{title} stays until {until:%Y-%m-%d %H:%M} UTC (partitions.keep_days)."))
        [now] = self.session.rows(load_sql("conversion/counters"), {"oid": state.mark.old_oid})
        written = statements.written_since(self.names.schema, self.names.old)
        [since] = self.session.rows(written, {"since": state.mark.since})
        if since["rows"]:
            found.append(InputError(f"{since['rows']} rows of {title} were written since; find out by whom."))
        making = self._making(read_table(self.session, self.rule), state.mark)
        lines = [
            (
                f"-- {title}, {state.aside_bytes} bytes, replaced at {state.mark.switched_at}; since then read "
                f"{max(0, now['reads'] - state.mark.reads)} times (back-ups read every table)"
            ),
            *map(shown_statement, (*making.no_triggers(self.names.table), *making.gone(self.names.old))),
        ]
        return lines, found

    def _make(self, plan: Plan) -> State:
        """Make the new table and where changes are noted, all or nothing. The old one is not touched."""
        self.journal(
            "partition_conversion_intended", {"table": self.names.title, "partitions": plan.leaves, "bytes": plan.bytes}
        )
        making = plan.making
        with as_owner(self.session, plan.owner):
            for statement in plan.made():
                self.session.rows(statement, {})
            [new] = self._relation(self.names.new)
            mark = Mark("made", self.request.run_id, plan.table.oid, new["oid"], tuple(key.name for key in making.keys))
            self.session.rows(making.remark(mark.text()), {})
        self.progress(f"{self.names.schema}.{self.names.new} is made, with {plan.leaves} partitions")
        return read_state(self.session, self.names)

    def _arm(self, plan: Plan, mark: Mark) -> Mark:
        """Note changes from now on. No older writer is at work then: the trigger waits for each, and they for it."""
        armed: list[Mark] = []

        def work() -> float:
            with as_owner(self.session, plan.owner):
                for statement in plan.making.triggers(self.names.table):
                    self.session.rows(statement, {})
                evidence = evidence_of(self.session, mark.old_oid)
                armed[:] = [replace(mark, phase="copying", evidence=evidence)]
                self.session.rows(plan.making.remark(armed[0].text()), {})
            return 0.0

        patiently(self.session, self.settings, mark.old_oid, work)
        self.progress(f"changes of {self.names.title} are noted")
        return armed[0]

    def _copied(self, follower: Follower, plan: Plan, mark: Mark) -> bool:
        """Copy what is left, range by range; return whether all of it was seen to before the window closed.

        A range that was copied and not written down is copied again, and found there.
        """
        found = self.folder.read(PROGRESS) or {}
        done: dict[str, Any] = found if found.get("new_oid") == mark.new_oid else {"after": None, "copied": False}
        while not done["copied"]:
            if self._is_over():
                return False
            after = follower.copy(done["after"], len(plan.table.key))
            done = {"new_oid": mark.new_oid, "after": after or done["after"], "copied": after is None}
            self.folder.write(PROGRESS, done)
            if after is None:
                self.progress(f"{follower.followed.copied} rows of {self.names.title} are copied")
            elif follower.followed.batches % 20 == 0:
                follower.follow()
                self.progress(f"{follower.followed.copied} rows of {self.names.title} are copied so far")
        return True

    def _index(self, plan: Plan, mark: Mark) -> None:
        """Make the other indexes, now that the rows are there, a partition at a time: nobody else uses them yet."""
        schema = self.names.schema
        leaves = [
            row for row in self.session.rows(load_sql("retention/partitions"), {"oid": mark.new_oid}) if row["is_leaf"]
        ]
        there = {row["name"] for row in self.session.rows(load_sql("conversion/indexes"), {"oid": mark.new_oid})}
        for at, one in enumerate(plan.indexes):
            name = new_name(one["name"])
            if name in there:
                continue
            if one["constraint_name"]:
                with as_owner(self.session, plan.owner):
                    self.session.rows(statements.constraint(name, (schema, self.names.new), one), {})
                continue
            for leaf in leaves:
                self.check()
                with as_owner(self.session, plan.owner):
                    of_leaf = statements.part_index(leaf["name"], at)
                    self.session.rows(statements.index(of_leaf, (schema, leaf["name"]), one), {})
            with as_owner(self.session, plan.owner):
                self.session.rows(statements.index(name, (schema, self.names.new), one), {})
            self.progress(f"the index {one['name']} is made on {len(leaves)} partitions")
        for leaf in leaves:
            self.session.rows(statements.analyzing(schema, leaf["name"]), {})
        self.session.rows(statements.analyzing(schema, self.names.new), {})

    def _prove(self, follower: Follower, *, back: bool = False) -> Proven:
        """Hold both sides against each other. On the way back, retention may have removed what is due meanwhile."""
        due: tuple[Composed, ...] = ()
        if back:
            [now] = self.session.rows(load_sql("retention/now"))
            due = Statements(follower.statements.table, classes_of(self.rule, now["now"])).due
        remedy = "Compare the two by hand." if back else "Start with *Undo*, and then anew."
        proven = prove(self.session, follower.statements, self.wanted, self.names.title, remedy, due)
        self.progress(f"{proven.rows} rows of {self.names.title} in {proven.spans} spans are proven the same")
        return proven

    def _exchange(
        self, making: Making, owner: str, mark: Mark, follower: Follower, *, forward: bool
    ) -> tuple[float, Mark]:
        exchange = Exchange(self.session, self.settings, self.names, making, owner, mark, follower, forward)
        return exchange.carry_out(self.ports.clock().isoformat())

    def _clear(self, state: State) -> None:
        """Take away what a conversion made, unless it has the name; nothing of the old table was touched."""
        if state.phase == "none":
            return
        if state.phase == "undone":  # the guard of the exchange stays until nobody needs it
            wait_for_older(self.session, self.settings, state.mark.exchanged)
        table = read_table(self.session, self.rule)
        making, owner = self._making(table, state.mark), self._owner(table)

        def work() -> float:
            with as_owner(self.session, owner):
                for statement in (*making.no_triggers(self.names.table), *making.gone(self.names.new)):
                    self.session.rows(statement, {})
            return 0.0

        patiently(self.session, self.settings, table.oid, work)

    def _follower(self, table: Table, making: Making, *, forward: bool) -> Follower:
        rules = self.settings.retention
        [now] = self.session.rows(load_sql("retention/now"))
        aside = self.names.new if forward else self.names.old
        following = Following(table, self.names, making.keys, self.names.table, aside)
        pacer = Pacer(rules.pace, wal=now["wal"])
        return Follower(self.session, following, pacer, self.names.title, self.check)

    def _making(self, table: Table, mark: Mark) -> Making:
        by_name = {column.name: column for column in table.columns}
        if missing := [key for key in mark.keys if key not in by_name]:
            raise InputError(f"{self.names.title} has no longer the column {missing[0]}; look by hand.")
        keys = tuple(by_name[key] for key in mark.keys)
        return Making(self.names, table.columns, keys, self.wanted.by, table.time)

    def _owner(self, table: Table) -> str:
        [facts] = self.session.rows(load_sql("conversion/facts"), {"oid": table.oid})
        return str(facts["owner"])

    def _relation(self, name: str) -> list[dict[str, Any]]:
        return self.session.rows(load_sql("conversion/relation"), {"schema": self.names.schema, "name": name})

    def _is_over(self) -> bool:
        return not self.request.now and not is_open(self.settings.system.maintenance_window, self.ports.clock())

    def _written(self, result: CheckResult, event: str, seconds: float) -> CheckResult:
        """Leave a receipt in the bucket and a line in the journal."""
        self.folder.write(RECEIPT, {"run_id": self.request.run_id, "event": event, **result.to_json()})
        self.journal(
            event, {"table": self.names.title, "locked_seconds": round(seconds, 3), "receipt": self.folder.place}
        )
        return result
