"""The steps of a conversion, each of which may be done again: make, note, copy, index, prove, exchange, clear away."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from psycopg.sql import Composed

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.conversion import statements
from tdev_operators.core.database.conversion.following import Follower, Proven, prove
from tdev_operators.core.database.conversion.making import Making
from tdev_operators.core.database.conversion.names import Names, new_name
from tdev_operators.core.database.conversion.plan import Plan
from tdev_operators.core.database.conversion.request import ConversionRequest, rule_of
from tdev_operators.core.database.conversion.sides import Following
from tdev_operators.core.database.conversion.state import Mark, State, read_state
from tdev_operators.core.database.conversion.switch import Exchange, as_owner, evidence_of, patiently, wait_for_older
from tdev_operators.core.database.ports import CarePorts
from tdev_operators.core.database.retention.pace import Pacer
from tdev_operators.core.database.retention.receipt import Folder, Journal
from tdev_operators.core.database.retention.rights import keep_private
from tdev_operators.core.database.retention.rules import classes_of
from tdev_operators.core.database.retention.statements import Statements
from tdev_operators.core.database.retention.table import Table, read_table
from tdev_operators.core.errors import InputError
from tdev_operators.core.maintenance_window import is_open
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult

FOLDER = "partitions"  # below the archive, where our role may write
PROGRESS, RECEIPT = "conversion.json", "conversion-receipt.json"


class Steps:
    """What one run works with, and what it does step by step."""

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

    def _make(self, plan: Plan) -> State:
        """Make the new table and where changes are noted, all or nothing. The old one is not touched."""
        self.journal(
            "partition_conversion_intended", {"table": self.names.title, "partitions": plan.leaves, "bytes": plan.bytes}
        )
        making = plan.making
        with as_owner(self.session, plan.owner):
            for statement in plan.made():
                self.session.rows(statement, {})
            made = [self.names.new, self.names.changes, *(part.name for part in plan.parts)]
            keep_private(self.session, self.names.schema, made)
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

        patiently(self.session, self.settings, (mark.old_oid,), work)
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
            after, is_last = follower.copy(done["after"], len(plan.table.key))
            done = {"new_oid": mark.new_oid, "after": after, "copied": is_last}
            self.folder.write(PROGRESS, done)
            if is_last:
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
        for one in plan.indexes:
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
                    of_leaf = statements.part_index(leaf["name"], one["name"])
                    self.session.rows(statements.index(of_leaf, (schema, leaf["name"]), one), {})
            with as_owner(self.session, plan.owner):
                self.session.rows(statements.index(name, (schema, self.names.new), one), {})
            self.progress(f"the index {one['name']} is made on {len(leaves)} partitions")
        for leaf in leaves:
            self.session.rows(statements.analyzing(schema, leaf["name"]), {})
        self.session.rows(statements.analyzing(schema, self.names.new), {})

    def _wait_for_older(self) -> None:
        """Wait for whoever began before the copy was whole: he would find the exchanged table empty."""
        [own] = self.session.rows(load_sql("retention/own_transaction"))
        wait_for_older(self.session, self.settings, own["xid"])

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
                # First what may be held, and last what the application waits for.
                self.session.rows(statements.locking(self.names.schema, self.names.new), {})
                for statement in (*making.no_triggers(self.names.table), *making.gone(self.names.new)):
                    self.session.rows(statement, {})
            return 0.0

        patiently(self.session, self.settings, (table.oid, state.mark.new_oid), work)

    def _follower(self, table: Table, making: Making, *, forward: bool) -> Follower:
        rules = self.settings.retention
        [now] = self.session.rows(load_sql("retention/now"))
        aside = self.names.new if forward else self.names.old
        following = Following(table, self.names, making.keys, self.names.table, aside)
        pace = rules.pace.model_copy(update={"rest_percent": rules.pace.copy_rest_percent})
        pacer = Pacer(pace, wal=now["wal"])
        pacer.refuse_blind(self.session)
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
