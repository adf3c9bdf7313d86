"""A conversion from plan to exchange, the way back, and its end. Another run goes on where the last one was.

made, copying, switched, undone: the phase stands in the catalogue, written in the transaction that makes it true.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tdev_operators.core.backup.database.catalogue import pin
from tdev_operators.core.database.alone import alone
from tdev_operators.core.database.conversion import statements, told
from tdev_operators.core.database.conversion.plan import read_plan, shown
from tdev_operators.core.database.conversion.refusals import in_the_way, obstacles, refusals
from tdev_operators.core.database.conversion.request import ConversionRequest
from tdev_operators.core.database.conversion.state import State, read_state
from tdev_operators.core.database.conversion.steps import Steps
from tdev_operators.core.database.conversion.switch import as_owner, patiently
from tdev_operators.core.database.parameters import put
from tdev_operators.core.database.ports import CarePorts
from tdev_operators.core.database.retention.receipt import Journal
from tdev_operators.core.database.retention.run import JOB
from tdev_operators.core.database.retention.statements import shown as shown_statement
from tdev_operators.core.database.retention.table import read_table
from tdev_operators.core.errors import InputError, TdevError
from tdev_operators.core.maintenance_window import refuse_closed
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult


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


class _Work(Steps):
    """One run."""

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
        self._wait_for_older()
        proven = self._prove(follower)
        if self._is_over():
            return told.waits_for_window(self.names.title, follower.followed)
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
                self.session.rows(statements.locking(self.names.schema, self.names.old), {})
                for statement in (*making.no_triggers(self.names.table), *making.gone(self.names.old)):
                    self.session.rows(statement, {})
            return 0.0

        patiently(self.session, self.settings, (state.mark.new_oid, state.mark.old_oid), work)
        return self._written(told.dropped(self.names, state), "partition_dropped", 0.0)

    def _look_forward(self, state: State) -> tuple[list[str], list[TdevError]]:
        if state.phase == "switched":
            return [f"-- {self.names.title} was converted at {state.mark.switched_at}"], []
        if state.phase == "none" and state.live_kind == "p":
            raise InputError(f"{self.names.title} is partitioned already; there is nothing to convert.")
        plan = read_plan(self.session, self.rule, self.wanted)
        if state.phase == "none":
            return shown(plan, self.wanted), refusals(self.ports, self.settings, self.session, self.wanted, plan)
        if state.phase == "undone":
            lines = [f"-- what the way back of {state.mark.run_id} has left is cleared away first"]
            found = refusals(self.ports, self.settings, self.session, self.wanted, plan, again=True)
            return [*lines, *shown(plan, self.wanted)], found
        lines = [
            f"-- {state.mark.run_id} has begun ({state.phase}, {state.aside_bytes} bytes so far); it is gone on with"
        ]
        return [*lines, *shown(plan, self.wanted)], obstacles(self.session, state.live_oid, self.names.title)

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
        known = {one.name for one in state.mark.renamed}
        lines += [
            f"-- the index {row['name']} was made since, and goes with the partitions: make it anew"
            for row in self.session.rows(load_sql("conversion/indexes"), {"oid": state.mark.new_oid})
            if row["name"] not in known
        ]
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
