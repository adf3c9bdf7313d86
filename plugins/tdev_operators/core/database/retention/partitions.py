"""Whole partitions: which ones hold nothing but rows that are due, and how such a one goes.

A partition is detached (so that nobody writes into it any more), counted, and dropped, in separate transactions. What
its bounds do not prove is looked up among its rows; one that holds a single row that must stay is left to the ranges.
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg.sql import SQL, Composed

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.retention.columns import name_of
from tdev_operators.core.database.retention.receipt import Counts
from tdev_operators.core.database.retention.removal import Removal
from tdev_operators.core.database.retention.rules import RowClass, class_of
from tdev_operators.core.database.retention.statements import Statements
from tdev_operators.core.database.retention.table import Table
from tdev_operators.core.database.transactions import again_when_busy, transaction
from tdev_operators.core.errors import BusyError
from tdev_operators.core.sql import load_sql

_RANGE = re.compile(r"FOR VALUES FROM \('(?P<start>[^']+)'\) TO \('(?P<end>[^']+)'\)")
_LIST = re.compile(r"FOR VALUES IN \((?P<values>.*)\)")
# Only what is plainly text is believed: numbers stand without quotes, and a backslash means something else again.
_VALUE = re.compile(r"'((?:[^'\\]|'')*)'|NULL")
_VALUES = re.compile(rf"(?:{_VALUE.pattern})(?:, (?:{_VALUE.pattern}))*")
_PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Partition:
    """A leaf all of whose rows are due. `classes` are those of the rule that its rows may have."""

    oid: int
    schema: str
    name: str
    parent_schema: str
    parent_name: str
    bound: str
    has_default: bool
    rows_about: int
    bytes: int
    classes: tuple[RowClass, ...]

    @property
    def title(self) -> str:
        """Schema and name, for people."""
        return f"{self.schema}.{self.name}"

    @property
    def archives(self) -> bool:
        """Whether some of its rows have to be in the archive before it goes."""
        return any(one.archive for one in self.classes)

    def detach(self) -> Composed:
        """Return the statement that takes it out; beside a DEFAULT partition PostgreSQL refuses CONCURRENTLY."""
        return SQL("ALTER TABLE {} DETACH PARTITION {}{}").format(
            self._parent, self._own, SQL("" if self.has_default else " CONCURRENTLY")
        )

    def lock(self) -> Composed:
        """Return the statement that keeps writers from it until the transaction ends."""
        return SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(self._own)

    def finalize(self) -> Composed:
        """Return the statement that ends a detachment that was cut off."""
        return SQL("ALTER TABLE {} DETACH PARTITION {} FINALIZE").format(self._parent, self._own)

    def attach(self) -> Composed:
        """Return the statement that puts it back."""
        bound = SQL(self.bound.replace("%", "%%"))  # pg_get_expr's own words
        return SQL("ALTER TABLE {} ATTACH PARTITION {} {}").format(self._parent, self._own, bound)

    def drop(self) -> Composed:
        """Return the statement after which it is gone."""
        return SQL("DROP TABLE {}").format(self._own)

    @property
    def _own(self) -> SQL:
        return name_of(self.schema, self.name)

    @property
    def _parent(self) -> SQL:
        return name_of(self.parent_schema, self.parent_name)


def whole_partitions(session: Session, table: Table, classes: Sequence[RowClass]) -> list[Partition]:
    """Return the partitions whose bounds prove that every row in them is due, the oldest names first."""
    if not table.partitioned:
        return []
    return find_whole(session.rows(load_sql("retention/partitions"), {"oid": table.oid}), table.time.name, classes)


def find_whole(rows: Sequence[Mapping[str, Any]], time_column: str, classes: Sequence[RowClass]) -> list[Partition]:
    """Judge partitions (include/sql/retention/partitions.sql) by their bounds alone. Pure."""
    by_oid = {row["oid"]: row for row in rows}
    found = []
    for row in rows:
        span = span_of(row, time_column)
        if not row["is_leaf"] or row["kind"] != "r" or span is None:
            continue
        held = _classes_in(row, by_oid, tuple(classes))
        if held and all(span[1] <= one.cut_off for one in held):
            names = (
                "oid",
                "schema",
                "name",
                "parent_schema",
                "parent_name",
                "bound",
                "has_default",
                "rows_about",
                "bytes",
            )
            found.append(Partition(**{name: row[name] for name in names}, classes=held))
    return found


def remove_partitions(removal: Removal, partitions: Sequence[Partition], *, count: bool) -> bool:
    """Detach and drop the partitions, what their rows allow; return whether all was seen to in time.

    `count` looks at every row before and after the detachment. Without it, the rows of a partition in which the bounds
    leave no row to be archived are not looked at, and the receipt has the figure of the server's statistics.
    """
    for partition in partitions:
        if not removal.in_time:
            return False
        if _may_go(removal, partition, count=count):
            _remove(removal, partition, count=count)
    return True


def finish_begun(removal: Removal) -> None:
    """See a partition to its end that a dead predecessor had begun to remove."""
    pending = removal.progress.pending
    if pending is None or "partition" not in pending:
        return
    facts = {**pending["facts"], "classes": removal.statements.classes}
    _remove(removal, Partition(**facts), count=pending["count"])


def _remove(removal: Removal, partition: Partition, *, count: bool) -> None:
    session, looks = removal.session, count or partition.archives
    statements = Statements(removal.statements.table, removal.statements.classes, (partition.schema, partition.name))
    facts = {name: getattr(partition, name) for name in Partition.__dataclass_fields__ if name != "classes"}
    step = {"partition": partition.oid, "facts": facts, "count": count}
    pending = removal.progress.pending
    state = session.rows(load_sql("retention/partition_state"), {"oid": partition.oid})
    if not state:  # it was dropped, and the note before that has its last figures
        if pending is not None:
            removal.end()
            removal.save()
        return
    if (state[0]["schema"], state[0]["name"]) != (partition.schema, partition.name):
        _let_be(removal, partition, f"it is called {state[0]['schema']}.{state[0]['name']} by now")
        return
    about = partition.rows_about
    counts = Counts() if looks else Counts(rows=about, discarded=about, about=about, partitions=1)
    if pending is None:
        removal.begin({**step, "counts": asdict(counts)})
    if state[0]["attached"]:
        removal.check()
        why = _take_out_locked(removal, partition) if partition.has_default else _take_out(removal, partition)
        if why:
            _let_be(removal, partition, why)
            return
    if looks:
        # Nobody can write into it through the table now: what stays must not go with it.
        [now] = session.rows(statements.all_rows(), {"horizon": removal.horizon})
        counts = Counts(rows=now["rows"], discarded=now["rows"], partitions=1)
        if now["late"] or now["to_archive"] or now["not_due"]:
            session.rows(partition.attach(), {})
            _let_be(removal, partition, _stays(now))
            return
        removal.begin({**step, "counts": asdict(counts)})
    again_when_busy(removal.limits.tries, lambda: session.rows(partition.drop(), {}))
    removal.end()  # written down with the next step, or with the receipt


def _let_be(removal: Removal, partition: Partition, why: str) -> None:
    """Leave a partition where it is: its rows go range by range."""
    removal.progress.remarks.append(f"the partition {partition.title}: {why}")
    removal.progress.pending = None
    removal.save()


def _stays(now: Mapping[str, int]) -> str:
    """Return why rows keep their partition; empty when none does."""
    staying = now["late"] + now["to_archive"] + now["not_due"]
    return f"{staying} of its rows have to stay" if staying else ""


def _may_go(removal: Removal, partition: Partition, *, count: bool) -> bool:
    """Look whether its rows say what its bounds say; rows that are archived have been removed from it before."""
    if not (count or partition.archives):
        return True
    statements = Statements(removal.statements.table, removal.statements.classes, (partition.schema, partition.name))
    [now] = removal.session.rows(statements.all_rows(), {"horizon": removal.horizon})
    return not _stays(now)


def _take_out_locked(removal: Removal, partition: Partition) -> str:
    """Detach it beside a DEFAULT partition; return why not.

    Counted and detached in one transaction that keeps writers from it: it could not be put back once a row of its own
    had gone into the DEFAULT partition. Who already holds the table is not waited for.
    """
    session, statements = (
        removal.session,
        Statements(removal.statements.table, removal.statements.classes, (partition.schema, partition.name)),
    )
    if held := removal.holders():
        return held
    try:
        with transaction(session):
            session.rows(partition.lock(), {})
            locked_at = time.monotonic()
            [now] = session.rows(statements.all_rows(), {"horizon": removal.horizon})
            if why := _stays(now):
                return why
            held_ms = round((time.monotonic() - locked_at) * 1000)
            session.rows(load_sql("retention/patience"), {"held_ms": held_ms})  # we give way, not who waits for us
            session.rows(partition.detach(), {})
    except BusyError as error:
        return str(error)
    return ""


def _take_out(removal: Removal, partition: Partition) -> str:
    """Detach it; return why not. Who already holds the table is not waited for: others would queue up behind us.

    Raises:
        BusyError: the detachment is half done, and somebody who came meanwhile holds it; the next try ends it.
    """
    session = removal.session
    for attempt in range(1, removal.limits.tries + 1):
        [state] = session.rows(load_sql("retention/partition_state"), {"oid": partition.oid})
        if not state["attached"]:
            return ""
        if not state["pending"] and (held := removal.holders()):
            return held
        try:
            session.rows(partition.finalize() if state["pending"] else partition.detach(), {})
        except BusyError as error:
            [now] = session.rows(load_sql("retention/partition_state"), {"oid": partition.oid})
            if attempt == removal.limits.tries and now["pending"]:
                raise BusyError(
                    f"The detachment of {partition.title} is half done, and {removal.holders() or 'somebody'} holds "
                    "it; the next try ends it."
                ) from None
            if attempt == removal.limits.tries:
                return str(error)
            time.sleep(_PAUSE_SECONDS * attempt)
    return ""


def span_of(row: Mapping[str, Any], time_column: str) -> tuple[datetime, datetime] | None:
    """Return from when to when a partition by time reaches; None when it is none, or is open on either side."""
    match = _RANGE.fullmatch(row["bound"] or "")
    if row["strategy"] != "r" or row["by_column"] != time_column or match is None:
        return None
    try:
        start, end = (datetime.fromisoformat(_padded(match[name])) for name in ("start", "end"))
    except ValueError:  # infinity, or before Christ
        return None
    return _utc(start), _utc(end)


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _padded(text: str) -> str:
    return f"{text}:00" if re.search(r"[+-]\d\d$", text) and ":" in text else text


def _classes_in(
    row: Mapping[str, Any], by_oid: Mapping[int, Mapping[str, Any]], classes: tuple[RowClass, ...]
) -> tuple[RowClass, ...]:
    """Return the classes that rows of a partition may have, by the lists that it and its parents stand in."""
    columns = {one.column for one in classes if one.column}
    node: Mapping[str, Any] | None = row
    while node is not None and len(columns) == 1:
        match = _LIST.fullmatch(node["bound"] or "")
        if node["strategy"] == "l" and node["by_column"] in columns and match is not None:
            # SQL's equality and ours are the same for text alone: char(n) has blanks, a collation may fold.
            if not node["by_text"] or not _VALUES.fullmatch(match["values"]):
                return classes
            values = [None if text[0] == "" and text[1] else text[0] for text in _values(match["values"])]
            held = {class_of(classes, {node["by_column"]: value}) for value in values}
            return tuple(one for one in classes if one in held)
        node = by_oid.get(node["parent_oid"])
    return classes


def _values(text: str) -> list[tuple[str, bool]]:
    """Return a list's values; the second of each pair says that it was NULL."""
    found = _VALUE.finditer(text)
    return [("", True) if one[0] == "NULL" else (one[1].replace("''", "'"), False) for one in found]
