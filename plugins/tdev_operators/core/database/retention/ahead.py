"""Partitions ahead of time, so that a row finds its own; and what stands in a DEFAULT partition, the net below them.

Each is made beside the table and attached, in a transaction of its own: when one cannot be made, or one cannot be
dropped, that undoes none of the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from psycopg.sql import SQL, Composed

from tdev_operators.core.backup.database.names import distinct
from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.retention.columns import name_of
from tdev_operators.core.database.retention.partitions import span_of
from tdev_operators.core.database.retention.receipt import Journal
from tdev_operators.core.database.retention.rights import acting_as, keep_private
from tdev_operators.core.database.retention.settings import PartitionRule, RetentionRule, RetentionSettings
from tdev_operators.core.database.retention.spans import REST, Span, floor_of, part_name, spans_from
from tdev_operators.core.database.retention.statements import moment_text, text_of
from tdev_operators.core.database.retention.table import Table, read_table
from tdev_operators.core.database.transactions import again_when_busy, transaction
from tdev_operators.core.database.wording import untitled
from tdev_operators.core.errors import BusyError, PermanentError
from tdev_operators.core.reporting.wording import counted, moment, number
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict

CHECK = "retention.partitions_ahead"
LIKE = SQL(
    "INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING STORAGE INCLUDING COMPRESSION"
    " INCLUDING STATISTICS"
)


@dataclass(frozen=True, slots=True)
class Parent:
    """What is partitioned by time: the table, or a part of it. `reach` is until when it has partitions."""

    oid: int
    schema: str
    name: str
    reach: datetime | None
    newest: int  # the last of its partitions
    missing: tuple[Span, ...]

    @property
    def title(self) -> str:
        """Schema and name, for people."""
        return f"{self.schema}.{self.name}"


@dataclass(slots=True)
class _Seen:
    """What was found and made, over all tables."""

    tables: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    made: int = 0
    moved: int = 0
    in_rest: int = 0
    verdicts: list[Verdict] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)


def partitions_ahead(
    session: Session,
    settings: RetentionSettings,
    *,
    journal: Journal,
    dry_run: bool = False,
) -> CheckResult | None:
    """Make the partitions that the settings want ahead of time; None when no table of the rules is partitioned so.

    Rows of a DEFAULT partition that belong into a new one are moved into it in the same transaction. What is too many
    for that, or belongs nowhere, stays where it is and is told.

    Raises:
        TransientError: the server is away.
    """
    seen = _Seen()
    for rule in settings.rules:
        if rule.partitions is None:
            continue
        try:
            table = read_table(session, rule)
            if table.partitioned:
                seen.tables.append(table.title)
                _see_to(session, settings, (rule, rule.partitions, table), journal, seen, dry_run=dry_run)
        except PermanentError as error:
            seen.skipped[rule.name] = str(error)
    if not seen.tables:  # what cannot even be read is told by its own result
        return None
    return _told(seen, dry_run=dry_run)


def missing_of(
    rows: Sequence[Mapping[str, Any]], time_column: str, rule: PartitionRule, now: datetime
) -> tuple[Parent, ...]:
    """Return what is partitioned by time, and what it lacks (include/sql/retention/partitions.sql). Pure."""
    found: dict[int, Parent] = {}
    open_ended: set[int] = set()
    for row in rows:
        if row["strategy"] != "r" or row["by_column"] != time_column:
            continue
        if "(MAXVALUE)" in (row["bound"] or ""):
            open_ended.add(row["parent_oid"])
        span = span_of(row, time_column)
        before = found.get(row["parent_oid"])
        end, newest = (span[1], row["oid"]) if span else (None, 0)
        if before is not None and before.reach is not None and (end is None or end <= before.reach):
            end, newest = before.reach, before.newest
        found[row["parent_oid"]] = Parent(
            row["parent_oid"], row["parent_schema"], row["parent_name"], end, newest, missing=()
        )
    until = now + timedelta(days=rule.ahead_days)
    return tuple(
        Parent(
            one.oid,
            one.schema,
            one.name,
            one.reach,
            one.newest,
            tuple(spans_from(rule.step, max(one.reach or floor_of(rule.step, now), floor_of(rule.step, now)), until)),
        )
        for one in found.values()
        if one.oid not in open_ended
    )


def _see_to(
    session: Session,
    settings: RetentionSettings,
    what: tuple[RetentionRule, PartitionRule, Table],
    journal: Journal,
    seen: _Seen,
    *,
    dry_run: bool,
) -> None:
    rule, wanted, table = what
    [clock] = session.rows(load_sql("retention/now"))
    rows = session.rows(load_sql("retention/partitions"), {"oid": table.oid})
    rests = {
        row["parent_oid"]: row for row in session.rows(load_sql("retention/default_partitions"), {"oid": table.oid})
    }
    [facts] = session.rows(load_sql("retention/table"), {"schema": table.schema, "table": table.name})
    for parent in missing_of(rows, table.time.name, wanted, clock["now"]):
        making = _Making(session, settings, table, parent, rests.get(parent.oid), facts["owner"])
        reach, why = parent.reach, ""
        for span in parent.missing:
            if dry_run:
                seen.lines += making.shown(span)
                continue
            try:
                journal("partition_intended", {"table": table.title, "partition": part_name(parent.name, span)})
                seen.moved += making.make(span)
            except (BusyError, PermanentError) as error:
                why = f": {error}"
                break
            seen.made += 1
            reach = span.end
        seen.lines.append(f"{parent.title}: {f'until {moment(reach)}' if reach else 'no partition'}{why}")
        if reach is None or reach <= clock["now"]:
            seen.verdicts.append(Verdict.OK if dry_run else Verdict.CRITICAL)
        elif why:
            seen.verdicts.append(Verdict.WARNING)
        if why:
            seen.hints.append("Mend what is in the way, and start `metric_cleanup` again.")
    for rest in rests.values():
        statement = SQL("-- one row: what fits into no other partition\nSELECT count(*) AS rows FROM {}")
        [left] = session.rows(statement.format(name_of(rest["schema"], rest["name"])), {})
        if left["rows"]:
            seen.in_rest += left["rows"]
            seen.verdicts.append(Verdict.WARNING)
            seen.lines.append(f"{rest['schema']}.{rest['name']}: {counted(left['rows'], 'row')} that fit nowhere else")
            seen.hints.append(
                f"See which values {wanted.by} and {rule.time_column} have in {rest['schema']}.{rest['name']}: they go "
                "row by row and not with a whole partition. A value that is missing in the settings needs a partition "
                "of its own; a time far ahead is a clock that is wrong."
            )


@dataclass(frozen=True, slots=True)
class _Making:
    """The making of partitions of one parent."""

    session: Session
    settings: RetentionSettings
    table: Table
    parent: Parent
    rest: Mapping[str, Any] | None
    owner: str

    def make(self, span: Span) -> int:
        """Make one; return how many rows were moved into it.

        Raises:
            BusyError: somebody holds the DEFAULT partition, or too many rows of it would have to be moved.
        """
        return again_when_busy(self.settings.tries, lambda: self._once(span))

    def shown(self, span: Span) -> list[str]:
        """Return the statements."""
        steps = [self._create(span, ())] + ([self._move(span)] if self.rest else []) + [self._attach(span)]
        return [untitled(step).replace("%%", "%") for step in steps]

    def _once(self, span: Span) -> int:
        session, moved = self.session, 0
        options = session.rows(load_sql("retention/options"), {"oid": self.parent.newest})
        with transaction(session):
            session.rows(acting_as(self.owner), {})
            session.rows(self._create(span, options), {})
            keep_private(session, self.parent.schema, [part_name(self.parent.name, span)])
            if self.rest is not None:
                session.rows(self._lock(), {})
                moved = self._emptied(span)
            session.rows(self._attach(span), {})
        return moved

    def _emptied(self, span: Span) -> int:
        most = self.settings.pace.batch_rows
        [found] = self.session.rows(self._count(span), {"most": most + 1})
        if found["rows"] > most:
            raise BusyError(
                f"more than {number(most)} rows of {self._rest_title} belong into {part_name(self.parent.name, span)}, "
                "and moving them would keep writers waiting; move them by hand in an hour without writers, or let them "
                "grow old"
            )
        return self.session.touched(self._move(span), {}) if found["rows"] else 0

    @property
    def _rest_title(self) -> str:
        return f"{self.rest['schema']}.{self.rest['name']}" if self.rest else ""

    @property
    def _rest_name(self) -> SQL:
        return name_of(self.rest["schema"], self.rest["name"]) if self.rest else SQL("")

    def _own(self, span: Span) -> SQL:
        return name_of(self.parent.schema, part_name(self.parent.name, span))

    def _bounds(self, span: Span) -> tuple[SQL, SQL]:
        base = self.table.time.base
        return moment_text(base, span.start), moment_text(base, span.end)

    def _create(self, span: Span, options: Sequence[Mapping[str, str]]) -> Composed:
        return SQL("-- a partition to come\nCREATE TABLE {} (LIKE {} {}){}").format(
            self._own(span), name_of(self.parent.schema, self.parent.name), LIKE, with_options(options)
        )

    def _lock(self) -> Composed:
        return SQL("-- nobody writes into the net meanwhile\nLOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(
            self._rest_name
        )

    def _inside(self, span: Span) -> Composed:
        start, end = self._bounds(span)
        time_name = name_of("t", self.table.time.name)
        return SQL("{0} >= {1} AND {0} < {2}").format(time_name, start, end)

    def _count(self, span: Span) -> Composed:
        return SQL(
            "-- one row: how many rows of the net belong into a partition to come\nSELECT count(*) AS rows"
            " FROM (SELECT FROM {} AS t WHERE {} LIMIT %(most)s) AS found"
        ).format(self._rest_name, self._inside(span))

    def _move(self, span: Span) -> Composed:
        names = SQL(", ").join(name_of(one.name) for one in self.table.columns if not one.generated)
        return SQL(
            "-- rows of the net go where they belong\nWITH moved AS (DELETE FROM {} AS t WHERE {} RETURNING *)"
            " INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM moved"
        ).format(self._rest_name, self._inside(span), self._own(span), names, names)

    def _attach(self, span: Span) -> Composed:
        return SQL(
            "-- it takes rows from now on\nALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})"
        ).format(name_of(self.parent.schema, self.parent.name), self._own(span), *self._bounds(span))


def with_options(options: Sequence[Mapping[str, str]]) -> Composed:
    """Return storage parameters as a table that is made takes them; nothing where there are none."""
    if not options:
        return SQL("{}").format(SQL(""))
    each = [SQL("{} = {}").format(name_of(one["name"]), text_of(one["value"])) for one in options]
    return SQL(" WITH ({})").format(SQL(", ").join(each))


def rest_name(parent: str) -> str:
    """Return the name of a DEFAULT partition."""
    return distinct(parent, REST)


def _told(seen: _Seen, *, dry_run: bool) -> CheckResult:
    verdict = max(seen.verdicts, key=lambda one: one.badness, default=Verdict.OK)
    made = f"{counted(seen.made, 'partition')} made ahead of time" if not dry_run else "Dry run: nothing was made"
    summary = f"{made}; {number(seen.in_rest)} rows fit into no partition of their own."
    return CheckResult(
        CHECK,
        verdict,
        summary,
        measurements=(
            Measurement("made", seen.made),
            Measurement("moved out of the net", seen.moved, "rows"),
            Measurement("in the net", seen.in_rest, "rows", warning=1),
        ),
        hint=" ".join(dict.fromkeys(seen.hints)),
        coverage=Coverage(seen=tuple(seen.tables), skipped=seen.skipped),
        details=tuple(seen.lines),
    )
