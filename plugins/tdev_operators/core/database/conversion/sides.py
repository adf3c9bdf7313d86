"""The statements that make a target equal to its source, and hold both against each other.

The *source* is the table that the application writes to, the *target* the one that follows it: the partitioned table
before the exchange, the former one after it. A row's key is here the former primary key with the columns of the
partitions. `%(upto)s` is the last note that is seen to.
"""

from collections.abc import Sequence

from psycopg.sql import SQL, Composable, Composed

from tdev_operators.core.database.conversion.names import Names
from tdev_operators.core.database.retention.columns import Column, digest_of, name_of
from tdev_operators.core.database.retention.statements import Statements, text_of
from tdev_operators.core.database.retention.table import Table

SOURCE, TARGET = "t", "other"


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
