"""How a value travels: from the table as text into a typed column of Parquet, and from there back, the same value.

Every type goes by what its own output function writes. Numbers, truth values, text and moments have types of their own
in the archive, so that it can be queried in place; everything else (uuid, numeric, jsonb, arrays, ...) is text there.
"""

from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from psycopg.sql import SQL, Composed, Identifier

DIGEST = "_tdev_digest"  # of a row's content, as the database wrote it when it was archived

_ARROW: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "timestamp": pa.timestamp("us"),
}
_SENT_AS = {"bool": "bool", "float4": "float8", "float8": "float8"}
_WHOLE = frozenset({"int2", "int4", "int8"})
_MOMENTS = frozenset({"timestamptz", "timestamp"})
# What PostgreSQL calls infinity is the largest number of microseconds here, as it is in DuckDB.
_INFINITY = 2**63 - 1
_DAY = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. `type` is what PostgreSQL calls it, `base` its name in pg_catalog, empty for another one."""

    name: str
    type: str
    base: str
    required: bool
    generated: bool

    def facts(self) -> dict[str, Any]:
        """Return it as JSON; `Column(**facts)` is the inverse."""
        return asdict(self)

    @property
    def arrow(self) -> pa.DataType:
        """Its type in the archive."""
        return _ARROW.get(self.base, pa.string())

    @property
    def read_as(self) -> pa.DataType:
        """Its type as the line says it: moments are microseconds since 1970."""
        return pa.int64() if self.base in _MOMENTS else self.arrow

    @property
    def sent_as(self) -> SQL:
        """The type in which it is sent back."""
        whole = self.base in _WHOLE or self.base in _MOMENTS
        return SQL("int8" if whole else _SENT_AS.get(self.base, "text"))


def name_of(*names: str) -> SQL:
    """Return a quoted name for a statement with binds, in which a literal % is doubled."""
    quoted = Identifier(*names).as_string().replace("%", "%%")
    return SQL(quoted)  # quoted by psycopg


def line_of(columns: tuple[Column, ...], alias: str) -> Composed:
    """Return the expression of a row as a line of CSV, its digest last."""
    fields = [_field(column, alias) for column in columns]
    return SQL(" || ',' || ").join([*fields, SQL("{}::text").format(digest_of(columns, alias))])


def digest_of(columns: tuple[Column, ...], alias: str, *, back: bool = False) -> Composed:
    """Return the expression of a row's digest: 64 bits of SHA-256 over the text of all of its columns."""
    texts = [SQL("{}::text").format(came_back(column, alias) if back else _ref(column, alias)) for column in columns]
    return SQL(
        "('x' || encode(substring(sha256(convert_to(ROW({})::text, 'UTF8')) FROM 1 FOR 8), 'hex'))::bit(64)::bigint"
    ).format(SQL(", ").join(texts))


def came_back(column: Column, alias: str) -> Composed:
    """Return the expression that makes the column's own value of what was sent back."""
    value, kind = _ref(column, alias), SQL(column.type.replace("%", "%%"))  # format_type's
    if column.base in _MOMENTS:
        return SQL(
            "(CASE {value} WHEN {most} THEN 'infinity' WHEN -{most} THEN '-infinity' ELSE {base} 'epoch'"
            " + make_interval(days => ({value} / {day})::int) + (({value} %% {day})::text || ' us')::interval"
            " END)::{kind}"
        ).format(
            value=value,
            most=SQL(str(_INFINITY)),
            base=SQL(column.base),
            day=SQL(str(_DAY)),
            kind=kind,
        )
    return SQL("{}::{}").format(value, kind)


def sent(columns: tuple[Column, ...], alias: str) -> Composed:
    """Return the rows of binds (`c0`, `c1`, ... and `digest`) as a relation with the columns' names and DIGEST."""
    arrays = [SQL("%(c{})s::{}[]").format(SQL(str(at)), column.sent_as) for at, column in enumerate(columns)]
    names = [name_of(column.name) for column in columns]
    return SQL("unnest({}, %(digest)s::int8[]) AS {} ({}, {})").format(
        SQL(", ").join(arrays), name_of(alias), SQL(", ").join(names), name_of(DIGEST)
    )


def binds_of(columns: tuple[Column, ...], rows: pa.Table) -> dict[str, str]:
    """Return rows of the archive as the binds of `sent`: one array literal a column."""
    binds = {f"c{at}": _literal(rows.column(column.name)) for at, column in enumerate(columns)}
    return {**binds, "digest": _literal(rows.column(DIGEST))}


def schema_of(columns: tuple[Column, ...], metadata: dict[str, str]) -> pa.Schema:
    """Return the archive's schema."""
    fields = [pa.field(column.name, column.arrow) for column in columns]
    return pa.schema([*fields, pa.field(DIGEST, pa.int64(), nullable=False)], metadata=metadata)


def _ref(column: Column, alias: str) -> SQL:
    return name_of(alias, column.name)


def _field(column: Column, alias: str) -> Composed:
    ref = _ref(column, alias)
    if column.base in _MOMENTS:
        return SQL(
            "coalesce(CASE {ref} WHEN 'infinity' THEN {most} WHEN '-infinity' THEN -{most}"
            " ELSE (extract(EPOCH FROM {ref}) * 1000000)::bigint END::text, '')"
        ).format(ref=ref, most=SQL(str(_INFINITY)))
    if column.base in _ARROW:
        return SQL("coalesce({}::text, '')").format(ref)
    return SQL("coalesce('\"' || replace({}::text COLLATE \"C\", '\"', '\"\"') || '\"', '')").format(ref)


def _literal(values: pa.ChunkedArray) -> str:
    """Return the values as an array literal of PostgreSQL."""
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.int64())
    if pa.types.is_float32(values.type):
        values = values.cast(pa.float64())  # exact, and the server makes the same 32 bits of it
    if pa.types.is_string(values.type):
        quoted = pc.replace_substring(pc.replace_substring(values, "\\", "\\\\"), '"', '\\"')
        texts = pc.binary_join_element_wise('"', quoted, '"', "")
    else:
        texts = values.cast(pa.string())
    return "{" + ",".join(pc.fill_null(texts, "NULL").to_pylist()) + "}"
