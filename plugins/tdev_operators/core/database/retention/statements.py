"""The statements of retention that need names, composed. Cut-offs stand in them as they are.

A range of rows is what lies behind `%(after0)s`, ... up to and with `%(upto0)s`, ... by the table's order; a range of
keys has NULL there at the beginning, one of time '-infinity'. `%(horizon)s` is the oldest transaction that was not over
when the run began: what a younger one wrote is late.
"""

from collections.abc import Sequence
from datetime import datetime

from psycopg.sql import SQL, Composable, Composed, Literal

from tdev_operators.core.database.retention.columns import (
    DIGEST,
    Column,
    came_back,
    digest_of,
    line_of,
    name_of,
    sent,
)
from tdev_operators.core.database.retention.rules import RowClass
from tdev_operators.core.database.retention.table import Table
from tdev_operators.core.database.wording import untitled

T = "t"
CURSOR = "tdev_archive"

_TIME_FORM = {"timestamptz": "%Y-%m-%d %H:%M:%S.%f+00", "timestamp": "%Y-%m-%d %H:%M:%S.%f", "date": "%Y-%m-%d"}


class Statements:
    """The statements for one table under the classes of its rule. `only` names a partition instead of the table."""

    def __init__(self, table: Table, classes: Sequence[RowClass], only: tuple[str, str] | None = None) -> None:
        self.table, self.classes = table, tuple(classes)
        self._from = SQL("{} AS t").format(name_of(*(only or (table.schema, table.name))))
        self._late = _since(SQL("%(horizon)s::xid8"))
        self._archived = self._due(archive=True)
        self._discarded = self._due(archive=False)
        self._columns = table.columns

    @property
    def archives(self) -> bool:
        """Whether some of the rows are archived."""
        return any(one.archive for one in self.classes)

    @property
    def discards(self) -> bool:
        """Whether some of the rows are not."""
        return not all(one.archive for one in self.classes)

    @property
    def due(self) -> tuple[Composed, Composed]:
        """Whether a row is due and archived; whether it is due and not."""
        return self._archived, self._discarded

    def due_rows(self) -> Composed:
        """Count what is due: `archived`, `discarded`; and the rows `without_time`. Looks at every row."""
        return SQL(
            "-- one row: how many rows of the table are due\nSELECT count(*) AS rows,"
            " count(*) FILTER (WHERE {}) AS archived, count(*) FILTER (WHERE {}) AS discarded,"
            " count(*) FILTER (WHERE {} IS NULL) AS without_time FROM {}"
        ).format(self._archived, self._discarded, self._time, self._from)

    def without_time(self) -> Composed:
        """Count the rows that have no time, or one before all times: they stay."""
        return SQL(
            "-- one row: how many rows have no time\nSELECT count(*) AS rows FROM {0}"
            " WHERE {1} IS NULL OR {1} = '-infinity'"
        ).format(self._from, self._time)

    def open_archive(self, *, resumed: bool) -> Composed:
        """Open a cursor over the lines of the rows to archive, by key; `resumed` begins behind the binds `k0`, ..."""
        after: Composable = SQL("true")
        if resumed:
            keys = self.table.key
            marks = [SQL("%(k{})s::text").format(SQL(str(at))) for at in range(len(keys))]
            typed = [SQL("{}::{}").format(mark, _kind(one)) for mark, one in zip(marks, keys, strict=True)]
            after = SQL("({}) > ({})").format(self._tuple(keys), SQL(", ").join(typed))
        return SQL(
            "-- a cursor over the rows to archive\nDECLARE {} NO SCROLL CURSOR FOR SELECT {} AS line FROM {}"
            " WHERE {} AND {} ORDER BY {}"
        ).format(
            name_of(CURSOR), line_of(self._columns, T), self._from, self._archived, after, self._tuple(self.table.key)
        )

    def key_text(self) -> Composed:
        """Return the last of the rows sent, its key as text: `k0`, ..."""
        texts = [
            SQL("{}::text AS {}").format(came_back(column, "h"), name_of(f"k{at}"))
            for at, column in enumerate(self.table.key)
        ]
        return SQL("-- one row: a key as text\nSELECT {} FROM {}").format(
            SQL(", ").join(texts), sent(self.table.key, "h")
        )

    def proof(self) -> Composed:
        """Hold rows that were read back against their digests: `rows`, `wrong`, and the sum of digests `total`."""
        return SQL(
            "-- one row: rows of an archive, read back\nSELECT count(*) AS rows,"
            " count(*) FILTER (WHERE {} IS DISTINCT FROM {}) AS wrong, coalesce(sum({}), 0)::text AS total FROM {}"
        ).format(
            digest_of(self._columns, "h", back=True),
            name_of("h", DIGEST),
            name_of("h", DIGEST),
            sent(self._columns, "h"),
        )

    def readable(self) -> Composed:
        """Wait for whoever has the whole table locked, and read nothing."""
        return SQL("-- no rows: whether the table may be read now\nSELECT FROM {} LIMIT 0").format(self._from)

    def remove_archived(self) -> Composed:
        """Remove the rows sent that stand in the table unchanged."""
        keys = self.table.key
        return SQL(
            "-- archived rows go\nWITH h AS MATERIALIZED (SELECT {keys}, {digest} FROM {sent})"
            " DELETE FROM {table} USING h WHERE {same} AND {content} = h.{digest}"
        ).format(
            keys=_returned(keys),
            digest=name_of(DIGEST),
            sent=sent(keys, "s"),
            table=self._from,
            same=_same(keys),
            content=digest_of(self._columns, T),
        )

    def left_of_archived(self) -> Composed:
        """Count which of the rows sent stand in the table: `rows`."""
        return SQL(
            "-- one row: archived rows that are in the table\nWITH h AS MATERIALIZED (SELECT {} FROM {})"
            " SELECT count(*) AS rows FROM {} INNER JOIN h ON {}"
        ).format(_returned(self.table.key), sent(self.table.key, "s"), self._from, _same(self.table.key))

    def bound(self) -> Composed:
        """Return where a range of about `%(size)s` rows ends (`upto0`, ... as text; NULL: nothing left), its `rows`."""
        order = self.table.order
        if self.table.by_time:
            return SQL(
                "-- one row: where the next range of rows ends, and how many it has\n"
                "SELECT max(b.at)::text AS upto0, count(*) AS rows"
                " FROM (SELECT {time} AS at FROM {table} WHERE {after} AND {time} < {before}"
                " ORDER BY {time} FETCH FIRST %(size)s ROWS WITH TIES) AS b"
            ).format(time=self._time, table=self._from, after=self._after(), before=self._latest())
        names = [name_of(column.name) for column in order]
        texts = [SQL("b.{}::text AS upto{}").format(name, SQL(str(at))) for at, name in enumerate(names)]
        return SQL(
            "-- one row: where the next range of rows ends, and how many it has\nSELECT {texts},"
            " count(*) OVER () AS rows"
            " FROM (SELECT {columns} FROM {table} WHERE {after} ORDER BY {columns} LIMIT %(size)s) AS b"
            " ORDER BY {last} LIMIT 1"
        ).format(
            texts=SQL(", ").join(texts),
            columns=self._tuple(order),
            table=self._from,
            after=self._after(),
            last=SQL(", ").join(SQL("b.{} DESC").format(name) for name in names),
        )

    def remove_discarded(self) -> Composed:
        """Remove what is discarded of a range, but for what is late."""
        return SQL("-- what is discarded of a range goes\nDELETE FROM {} WHERE {} AND {} AND NOT {}").format(
            self._from, self._range(), self._discarded_in_range(), self._late
        )

    def left_of_range(self) -> Composed:
        """Count the `rows` left in a range; those that are due and `late`; those due and `unarchived`."""
        return SQL(
            "-- one row: what is left of a range of rows\nSELECT count(*) AS rows, count(*) FILTER (WHERE {}) AS late,"
            " count(*) FILTER (WHERE {}) AS unarchived FROM {} WHERE {}"
        ).format(self._discarded, self._archived, self._from, self._range())

    def walked(self) -> Composed:
        """Count the `rows` that are old enough to be looked at, as they are `seen` by a snapshot."""
        return SQL(
            "-- one row: how many rows there are to go through\nSELECT count(*) AS rows,"
            " pg_current_snapshot()::text AS seen FROM {} WHERE {}"
        ).format(self._from, self._old())

    def standing(self) -> Composed:
        """Count which of them stand: `rows`; and those of which the snapshot `%(seen)s` does not know: `late`."""
        late = SQL(
            "({} OR t.xmin = ANY (ARRAY(SELECT active::xid FROM pg_snapshot_xip(%(seen)s::pg_snapshot) AS active)))"
        ).format(_since(SQL("pg_snapshot_xmax(%(seen)s::pg_snapshot)")))
        return SQL(
            "-- one row: how many rows of those before are left\nSELECT count(*) FILTER (WHERE NOT {}) AS rows,"
            " count(*) FILTER (WHERE {}) AS late FROM {} WHERE {}"
        ).format(late, late, self._from, self._old())

    def all_rows(self) -> Composed:
        """Count the rows: `rows`, those `late`, those whose class is archived (`to_archive`), those not `due`."""
        archives = [self._is(at) for at, one in enumerate(self.classes) if one.archive]
        of_archive = SQL(" OR ").join([SQL("false"), *archives])
        return SQL(
            "-- one row: all rows of a partition\nSELECT count(*) AS rows, count(*) FILTER (WHERE {}) AS late,"
            " count(*) FILTER (WHERE {}) AS to_archive,"
            " count(*) FILTER (WHERE ({} OR {}) IS NOT TRUE) AS not_due FROM {}"
        ).format(self._late, of_archive, self._archived, self._discarded, self._from)

    def give_back(self, into: tuple[str, str]) -> Composed:
        """Insert the rows sent that are absent from a table: `inserted`."""
        given = [column for column in self._columns if not column.generated]
        return SQL(
            "-- one row: archived rows, given back\nWITH put AS (INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {}"
            " FROM {} ON CONFLICT DO NOTHING RETURNING 1) SELECT count(*) AS inserted FROM put"
        ).format(
            name_of(*into),
            SQL(", ").join(name_of(column.name) for column in given),
            SQL(", ").join(came_back(column, "h") for column in given),
            sent(self._columns, "h"),
        )

    def same_as_archived(self, at: tuple[str, str]) -> Composed:
        """Hold the rows sent against a table: `rows` found by key, and those that are the `same`."""
        return SQL(
            "-- one row: archived rows, as they stand in a table\nWITH h AS MATERIALIZED (SELECT {}, {} FROM {})"
            " SELECT count(*) AS rows, count(*) FILTER (WHERE {} = h.{}) AS same FROM {} AS t INNER JOIN h ON {}"
        ).format(
            _returned(self.table.key),
            name_of(DIGEST),
            sent(self.table.key, "s"),
            digest_of(self._columns, T),
            name_of(DIGEST),
            name_of(*at),
            _same(self.table.key),
        )

    @property
    def _time(self) -> SQL:
        return name_of(T, self.table.time.name)

    def _latest(self) -> Composed:
        return self._moment(max(self.classes, key=lambda one: one.cut_off))

    def _old(self) -> Composed:
        return SQL("{0} > '-infinity' AND {0} < {1}").format(self._time, self._latest())

    def _moment(self, one: RowClass) -> Composed:
        base = self.table.time.base
        return SQL("{}::{}").format(moment_text(base, one.cut_off), SQL(base))

    def _is(self, at: int) -> Composed:
        """Whether a row is of this class: its exception fits and none before it does."""
        terms: list[Composable] = [
            SQL("{} {} {}" if number == at else "({} {} {}) IS NOT TRUE").format(
                name_of(T, other.column), self._equals(other.column), text_of(other.value)
            )
            for number, other in enumerate(self.classes[: at + 1])
            if other.column
        ]
        return SQL("({})").format(SQL(" AND ").join(terms or [SQL("true")]))

    def _equals(self, column: str) -> Composable:
        """Return a column's own `=`: under our search path an extension's type is compared as another one."""
        schema = self.table.equals_in.get(column, "pg_catalog")
        return SQL("=") if schema == "pg_catalog" else SQL("OPERATOR({}.=)").format(name_of(schema))

    def _due(self, *, archive: bool) -> Composed:
        """Whether a row is due, and archived or not. Without a time, or before all times, none is."""
        due = [(at, one) for at, one in enumerate(self.classes) if one.archive is archive]
        terms = [SQL("{} AND {} < {}").format(self._is(at), self._time, self._moment(one)) for at, one in due]
        if not terms:
            return SQL("({})").format(SQL("false"))
        timed = SQL("{} > '-infinity'").format(self._time)
        if len(terms) == 1:
            return SQL("({} AND {})").format(terms[0], timed)
        # The one bound that all share first: it is what an index is asked for.
        latest = max((one for _, one in due), key=lambda one: one.cut_off)
        either = SQL(" OR ").join(SQL("({})").format(term) for term in terms)
        return SQL("({} < {} AND {} AND ({}))").format(self._time, self._moment(latest), timed, either)

    def _tuple(self, columns: Sequence[Column]) -> Composed:
        return SQL(", ").join(name_of(T, column.name) for column in columns)

    def _marks(self, word: str) -> Composed:
        marks = [
            SQL("%({}{})s::{}").format(SQL(word), SQL(str(at)), _kind(column))
            for at, column in enumerate(self.table.order)
        ]
        return SQL(", ").join(marks)

    def _discarded_in_range(self) -> Composed:
        """Say `_discarded` shorter, for a range of time: all of its rows have a time before the last cut-off."""
        if not self.table.by_time:
            return self._discarded
        last = max(one.cut_off for one in self.classes)
        terms = [
            self._is(at)
            if one.cut_off == last
            else SQL("({} AND {} < {})").format(self._is(at), self._time, self._moment(one))
            for at, one in enumerate(self.classes)
            if not one.archive
        ]
        return SQL("({})").format(SQL(" OR ").join(terms))

    def _after(self) -> Composed:
        if self.table.by_time:  # the first range begins behind '-infinity'
            return SQL("{} > {}").format(self._time, self._marks("after"))
        return SQL("(%(after0)s::text IS NULL OR ({}) > ({}))").format(
            self._tuple(self.table.order), self._marks("after")
        )

    def _range(self) -> Composed:
        upto = SQL("({}) <= ({})").format(self._tuple(self.table.order), self._marks("upto"))
        return SQL("{} AND {}").format(self._after(), upto)


def _since(number: SQL) -> Composed:
    """Whether a row was written by this transaction or a later one."""
    # What is true of next to no row first: of the others nothing more is asked.
    return SQL("(age(t.xmin) <= age({}::xid) AND age(t.xmin) >= -1000000)").format(number)


def shown(statement: Composed) -> str:
    """Return a statement as psql would take it, but for its binds, without the comment."""
    return untitled(statement).replace("%%", "%")


def moment_text(base: str, moment: datetime) -> SQL:
    """Return a moment as a literal for a column of this type, as a session in UTC reads it."""
    return text_of(moment.strftime(_TIME_FORM[base]))


def text_of(value: str) -> SQL:
    """Return a quoted text for a statement with binds, in which a literal % is doubled."""
    return SQL(Literal(value).as_string().replace("%", "%%"))  # quoted by psycopg


def _kind(column: Column) -> SQL:
    return SQL(column.type.replace("%", "%%"))  # format_type's words


def _returned(keys: Sequence[Column]) -> Composed:
    return SQL(", ").join(SQL("{} AS {}").format(came_back(one, "s"), name_of(one.name)) for one in keys)


def _same(keys: Sequence[Column]) -> Composed:
    return SQL(" AND ").join(SQL("{} = {}").format(name_of(T, one.name), name_of("h", one.name)) for one in keys)
