"""The statements of a conversion that need names, composed.

The *source* is the table that the application writes to, the *target* the one that follows it: the partitioned table
before the switch, the former one after it. A row's key is here the former primary key with the columns of the
partitions. `%(upto)s` is the last note that is seen to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.sql import SQL, Composable, Composed

from tdev_operators.core.backup.database.names import distinct
from tdev_operators.core.database.conversion.layout import Part
from tdev_operators.core.database.conversion.names import GUARD, ROW_TRIGGER, TRUNCATE_TRIGGER, Names
from tdev_operators.core.database.retention.ahead import LIKE, with_options
from tdev_operators.core.database.retention.columns import Column, digest_of, name_of
from tdev_operators.core.database.retention.statements import Statements, moment_text, text_of
from tdev_operators.core.database.retention.table import Table

SOURCE, TARGET = "t", "other"


@dataclass(frozen=True, slots=True)
class Making:
    """What is made beside a table, and taken away again."""

    names: Names
    columns: tuple[Column, ...]
    keys: tuple[Column, ...]
    by: str
    time: Column

    def new(self, old: tuple[str, str], primary: str) -> Composed:
        """Make the partitioned table, with all that the old one says of its columns."""
        return SQL(
            "-- the partitioned table\nCREATE TABLE {} (LIKE {} {} INCLUDING IDENTITY INCLUDING COMMENTS, CONSTRAINT {}"
            " PRIMARY KEY ({})) PARTITION BY LIST ({})"
        ).format(
            name_of(self.names.schema, self.names.new),
            name_of(*old),
            LIKE,
            name_of(primary),
            _listed(self.keys),
            name_of(self.by),
        )

    def part(self, part: Part, options: Sequence[Mapping[str, str]]) -> Composed:
        """Make one partition."""
        below: Composable = SQL("")
        if part.values:
            bound: Composable = SQL("FOR VALUES IN ({})").format(SQL(", ").join(text_of(one) for one in part.values))
            below = SQL(" PARTITION BY RANGE ({})").format(name_of(self.time.name))
        elif part.span:
            start, end = (moment_text(self.time.base, at) for at in (part.span.start, part.span.end))
            bound = SQL("FOR VALUES FROM ({}) TO ({})").format(start, end)
        else:
            bound = SQL("DEFAULT")
        return SQL("-- a partition\nCREATE TABLE {} PARTITION OF {} {}{}{}").format(
            name_of(self.names.schema, part.name),
            name_of(self.names.schema, part.parent),
            bound,
            below,
            SQL("") if part.values else with_options(options),
        )

    def changes(self) -> Composed:
        """Make the table of notes: a line a changed row, its key; a line without a key when all rows went."""
        keys = [SQL("{} {}").format(name_of(f"k{at}"), _kind(key)) for at, key in enumerate(self.keys)]
        return SQL(
            "-- where changes are noted\nCREATE TABLE {} (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, {})"
        ).format(self._changes, SQL(", ").join(keys))

    def note(self) -> Composed:
        """Make the function that notes a change: with the owner's rights, whoever changes the row.

        It can hardly fail, so that the application's writes do not: it adds a line, and that is all. As the guard of an
        exchange it refuses a writer whose snapshot is older, and who could not see what came last, with the error after
        which such a transaction (REPEATABLE READ, SERIALIZABLE) is to be tried again.
        """
        into = SQL("INSERT INTO {} ({}) VALUES").format(self._changes, self._marks())
        body = SQL(
            "BEGIN IF TG_WHEN = 'BEFORE' THEN"
            " IF NOT pg_visible_in_snapshot(TG_ARGV[0]::xid8, pg_current_snapshot()) THEN"
            " RAISE EXCEPTION 'could not serialize access: the table was exchanged meanwhile'"
            " USING ERRCODE = 'serialization_failure'; END IF; RETURN NULL; END IF;"
            " IF TG_OP = 'TRUNCATE' THEN INSERT INTO {changes} DEFAULT VALUES; RETURN NULL; END IF;"
            " IF TG_OP <> 'INSERT' THEN {into} ({old}); END IF;"
            " IF TG_OP <> 'DELETE' THEN {into} ({new}); END IF; RETURN NULL; END"
        ).format(changes=self._changes, into=into, old=self._fields("OLD"), new=self._fields("NEW"))
        return SQL(
            "-- notes which rows change\nCREATE FUNCTION {} () RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER"
            " SET search_path = pg_catalog, pg_temp AS {}"
        ).format(self._note, text_of(body.as_string().replace("%%", "%")))

    def guard(self, table: str, xid: str) -> Composed:
        """Refuse writers whose snapshot is older than the transaction `xid`, which exchanged the tables."""
        return SQL(
            "-- nobody writes by an old snapshot\nCREATE TRIGGER {} BEFORE INSERT OR UPDATE OR DELETE ON {}"
            " FOR EACH STATEMENT EXECUTE FUNCTION {} ({})"
        ).format(name_of(GUARD), name_of(self.names.schema, table), self._note, text_of(xid))

    def triggers(self, source: str) -> tuple[Composed, ...]:
        """Note the changes of a table from now on, also those of a replica's role (ENABLE ALWAYS)."""
        table = name_of(self.names.schema, source)
        made = (
            SQL(
                "-- changes are noted from now on\nCREATE TRIGGER {} AFTER INSERT OR UPDATE OR DELETE ON {}"
                " FOR EACH ROW EXECUTE FUNCTION {} ()"
            ).format(name_of(ROW_TRIGGER), table, self._note),
            SQL(
                "-- and that all rows went\nCREATE TRIGGER {} AFTER TRUNCATE ON {} FOR EACH STATEMENT"
                " EXECUTE FUNCTION {} ()"
            ).format(name_of(TRUNCATE_TRIGGER), table, self._note),
        )
        always = [
            SQL("-- whatever session_replication_role is\nALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(
                table, name_of(trigger)
            )
            for trigger in (ROW_TRIGGER, TRUNCATE_TRIGGER)
        ]
        return (*made, *always)

    def no_triggers(self, source: str) -> tuple[Composed, ...]:
        """Note them no more."""
        return tuple(
            SQL("-- changes are noted no more\nDROP TRIGGER IF EXISTS {} ON {}").format(
                name_of(trigger), name_of(self.names.schema, source)
            )
            for trigger in (ROW_TRIGGER, TRUNCATE_TRIGGER, GUARD)
        )

    def remark(self, text: str) -> Composed:
        """Write down how far it is, where the notes stand."""
        return SQL("-- how far it is\nCOMMENT ON TABLE {} IS {}").format(self._changes, text_of(text))

    def gone(self, table: str) -> tuple[Composed, ...]:
        """Drop a table, the notes, and the function."""
        return (
            SQL("-- a table goes\nDROP TABLE IF EXISTS {}").format(name_of(self.names.schema, table)),
            SQL("-- the notes go\nDROP TABLE IF EXISTS {}").format(self._changes),
            SQL("-- nothing is noted any more\nDROP FUNCTION IF EXISTS {} ()").format(self._note),
        )

    @property
    def _changes(self) -> SQL:
        return name_of(self.names.schema, self.names.changes)

    @property
    def _note(self) -> SQL:
        return name_of(self.names.schema, self.names.note)

    def _marks(self) -> Composed:
        return SQL(", ").join(name_of(f"k{at}") for at in range(len(self.keys)))

    def _fields(self, row: str) -> Composed:
        return SQL(", ").join(SQL("{}.{}").format(SQL(row), name_of(key.name)) for key in self.keys)


class Following(Statements):
    """What makes a target equal to its source: rows copied by ranges, and rows whose change was noted."""

    def __init__(self, table: Table, names: Names, keys: tuple[Column, ...], source: str, target: str) -> None:
        """`table` is the source, walked by its key."""
        super().__init__(table.walked_by_key(), (), (names.schema, source))
        self._keys, self._target = keys, name_of(names.schema, target)
        self._source, self._changes = name_of(names.schema, source), name_of(names.schema, names.changes)
        self._given = SQL(", ").join(name_of(one.name) for one in self._columns if not one.generated)

    def copy(self) -> Composed:
        """Copy a range of rows; what is there already came later."""
        return SQL(
            "-- a range of rows is copied\nINSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} WHERE {}"
            " ON CONFLICT DO NOTHING"
        ).format(self._target, self._given, self._given_of(SOURCE), self._from, self._range())

    def noted(self) -> Composed:
        """Return the last of the first `%(size)s` notes (`upto`), how many they are, whether all rows `went`."""
        return SQL(
            "-- one row: the next notes of changes\nSELECT max(b.n) AS upto, count(*) AS notes,"
            " coalesce(bool_or(b.k0 IS NULL), false) AS went"
            " FROM (SELECT c.n, c.k0 FROM {} AS c ORDER BY c.n LIMIT %(size)s) AS b"
        ).format(self._changes)

    def empty(self) -> Composed:
        """Let all rows of the target go, as those of the source did."""
        return SQL("-- all rows went\nTRUNCATE {}").format(self._target)

    def outdated_go(self) -> Composed:
        """Remove the noted rows of the target that the source has not, or has otherwise."""
        return SQL(
            "-- rows that were changed go\nDELETE FROM {target} AS other USING {noted}"
            " LEFT JOIN {source} AS t ON {same_t} WHERE {same_other} AND {left} IS DISTINCT FROM {right}"
        ).format(
            target=self._target,
            noted=self._noted_keys(),
            source=self._source,
            same_t=self._same(SOURCE),
            same_other=self._same(TARGET),
            left=self._digest(SOURCE),
            right=self._digest(TARGET),
        )

    def absent_come(self) -> Composed:
        """Insert the noted rows of the source that the target has not."""
        return SQL(
            "-- rows that were changed come\nINSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {}"
            " INNER JOIN {} AS t ON {} WHERE NOT EXISTS (SELECT FROM {} AS other WHERE {})"
        ).format(
            self._target,
            self._given,
            self._given_of(SOURCE),
            self._noted_keys(),
            self._source,
            self._same(SOURCE),
            self._target,
            self._same(TARGET),
        )

    def differing(self) -> Composed:
        """Count the noted rows that are not the same on both sides."""
        return SQL(
            "-- one row: noted rows that differ\nSELECT count(*) AS rows FROM {} LEFT JOIN {} AS t ON {}"
            " LEFT JOIN {} AS other ON {} WHERE {} IS DISTINCT FROM {}"
        ).format(
            self._noted_keys(),
            self._source,
            self._same(SOURCE),
            self._target,
            self._same(TARGET),
            self._digest(SOURCE),
            self._digest(TARGET),
        )

    def forget(self) -> Composed:
        """Remove the notes that were seen to."""
        return SQL("-- notes that were seen to\nDELETE FROM {} WHERE n <= %(upto)s").format(self._changes)

    def comparison(self, by: str, step: str, keep: Sequence[Composable] = ()) -> Composed:
        """Compare both sides from one snapshot: a row for each value and span, with counts and sums of digests.

        Rows whose change is noted and not yet seen to are left out on both sides, and so is what `keep` excludes.
        """
        noted = SQL("SELECT DISTINCT {} FROM {} AS c WHERE c.k0 IS NOT NULL").format(self._noted_names(), self._changes)
        return SQL(
            "-- a row: how many rows of a value and a span both sides have, and what their digests sum up to\n"
            "WITH noted AS MATERIALIZED ({}), a AS ({}), b AS ({}) SELECT coalesce(a.value, b.value)::text AS value,"
            " coalesce(a.span, b.span)::text AS span, coalesce(a.rows, 0) AS rows, coalesce(b.rows, 0) AS other_rows,"
            " coalesce(a.total, 0)::text AS total, coalesce(b.total, 0)::text AS other_total"
            " FROM a FULL JOIN b ON a.value = b.value AND a.span = b.span ORDER BY 1, 2"
        ).format(noted, *(self._summed(side, by, step, keep) for side in (self._source, self._target)))

    def _summed(self, side: SQL, by: str, step: str, keep: Sequence[Composable]) -> Composed:
        return SQL(
            "SELECT {by} AS value, date_trunc({step}, {time}) AS span, count(*) AS rows, sum({digest}) AS total"
            " FROM {side} AS t WHERE NOT EXISTS (SELECT FROM noted AS d WHERE {same}){keep} GROUP BY 1, 2"
        ).format(
            by=name_of(SOURCE, by),
            step=text_of(step),
            time=self._time,
            digest=self._digest(SOURCE),
            side=side,
            same=self._same(SOURCE),
            keep=SQL("").join(SQL(" AND NOT {}").format(one) for one in keep),
        )

    def _noted_names(self) -> Composed:
        return SQL(", ").join(SQL("c.{}").format(name_of(f"k{at}")) for at in range(len(self._keys)))

    def _noted_keys(self) -> Composed:
        return SQL("(SELECT DISTINCT {} FROM {} AS c WHERE c.n <= %(upto)s AND c.k0 IS NOT NULL) AS d").format(
            self._noted_names(), self._changes
        )

    def _same(self, alias: str) -> Composed:
        return SQL(" AND ").join(
            SQL("{} = d.{}").format(name_of(alias, key.name), name_of(f"k{at}")) for at, key in enumerate(self._keys)
        )

    def _given_of(self, alias: str) -> Composed:
        return SQL(", ").join(name_of(alias, one.name) for one in self._columns if not one.generated)

    def _digest(self, alias: str) -> Composed:
        return digest_of(self._columns, alias)


def index(name: str, table: tuple[str, str], facts: Mapping[str, Any]) -> Composed:
    """Make an index as another one is."""
    return SQL("-- an index\nCREATE {}INDEX IF NOT EXISTS {} ON {} USING {}").format(
        SQL("UNIQUE " if facts["is_unique"] else ""),
        name_of(name),
        name_of(*table),
        SQL(facts["tail"].replace("%", "%%")),  # pg_get_indexdef's own words
    )


def part_index(partition: str, number: int) -> str:
    """Return what a partition's share of the index with this number is called."""
    return distinct(partition, f"_{number}_idx")


def analyzing(schema: str, table: str) -> Composed:
    """Let the planner know what is in a table."""
    return SQL("-- what is in it\nANALYZE {}").format(name_of(schema, table))


def constraint(name: str, table: tuple[str, str], facts: Mapping[str, Any]) -> Composed:
    """Make a UNIQUE constraint as another one is."""
    return SQL("-- a constraint\nALTER TABLE {} ADD CONSTRAINT {} {}").format(
        name_of(*table), name_of(name), SQL(facts["constraint_text"].replace("%", "%%"))
    )


def renaming(kind: str, schema: str, old: str, new: str) -> Composed:
    """Rename a TABLE, an INDEX, a SEQUENCE."""
    return SQL("-- another name\nALTER {} {} RENAME TO {}").format(SQL(kind), name_of(schema, old), name_of(new))


def renaming_constraint(table: tuple[str, str], old: str, new: str) -> Composed:
    """Rename a constraint, and its index with it."""
    return SQL("-- another name\nALTER TABLE {} RENAME CONSTRAINT {} TO {}").format(
        name_of(*table), name_of(old), name_of(new)
    )


def granting(kind: str, relation: tuple[str, str], right: Mapping[str, Any]) -> Composed:
    """Give a right as it was given."""
    columns = SQL(" ({})").format(name_of(right["column_name"])) if right["column_name"] else SQL("{}").format(SQL(""))
    return SQL("-- a right\nGRANT {}{} ON {} {} TO {}{}").format(
        SQL(right["privilege"]),
        columns,
        SQL(kind),
        name_of(*relation),
        name_of(right["grantee"]) if right["grantee"] else SQL("PUBLIC"),
        SQL(" WITH GRANT OPTION" if right["grantable"] else ""),
    )


def revoking(kind: str, relation: tuple[str, str], grantee: str) -> Composed:
    """Take all rights of somebody."""
    return SQL("-- no right\nREVOKE ALL ON {} {} FROM {}").format(
        SQL(kind), name_of(*relation), name_of(grantee) if grantee else SQL("PUBLIC")
    )


def commenting(table: tuple[str, str], text: str) -> Composed:
    """Give a table its comment; an empty one removes it."""
    return SQL("-- a comment\nCOMMENT ON TABLE {} IS {}").format(
        name_of(*table), text_of(text) if text else SQL("NULL")
    )


def counting_on(sequence: tuple[str, str], other: tuple[str, str]) -> Composed:
    """Let a sequence go on where another one is."""
    return SQL(
        "-- one row: where it goes on\nSELECT setval({}::regclass, s.last_value, s.is_called) FROM {} AS s"
    ).format(text_of(name_of(*sequence).as_string().replace("%%", "%")), name_of(*other))


def owned_by(sequence: tuple[str, str], table: tuple[str, str], column: str) -> Composed:
    """Let a sequence belong to a column."""
    return SQL("-- whose it is\nALTER SEQUENCE {} OWNED BY {}").format(name_of(*sequence), name_of(*table, column))


def written_since(schema: str, table: str) -> Composed:
    """Count the rows that a transaction from `%(since)s` on has written."""
    return SQL(
        "-- one row: how many rows are younger than a transaction\nSELECT count(*) AS rows FROM {} AS t"
        " WHERE age(t.xmin) <= age(%(since)s::xid8::xid)"
    ).format(name_of(schema, table))


def locking(schema: str, *tables: str) -> Composed:
    """Keep everybody from tables until the transaction ends."""
    return SQL("-- nobody reads or writes\nLOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(
        SQL(", ").join(name_of(schema, table) for table in tables)
    )


def _kind(column: Column) -> SQL:
    return SQL(column.type.replace("%", "%%"))  # format_type's words


def _listed(columns: Sequence[Column]) -> Composed:
    return SQL(", ").join(name_of(column.name) for column in columns)
