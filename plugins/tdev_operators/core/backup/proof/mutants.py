"""Sabotage that a proof must notice: a proof that misses its mutant is worth nothing.

Each proof run feeds itself one mutant, in rotation. Some alter what the store serves, some the restored database after
its true comparison; it is thrown away anyhow.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from psycopg.sql import SQL, Composed, Identifier, Literal

from tdev_operators.core.backup.ports import BackupStore, Session
from tdev_operators.core.errors import PermanentError, TdevError
from tdev_operators.core.ports import ObjectInfo
from tdev_operators.core.sql import load_sql

_TAR_BLOCK = 512
_STORED_OBJECTS = ("/packs/", "/copies/")

# How a value becomes another one of its type.
_CHANGES: dict[str, str] = {
    **dict.fromkeys(("text", "varchar"), "{} || 'x'"),
    **dict.fromkeys(("int2", "int4", "int8", "numeric", "float4", "float8", "date"), "{} + 1"),
    **dict.fromkeys(("timestamp", "timestamptz"), "{} + interval '1 second'"),
    "bool": "NOT {}",
    "uuid": "pg_catalog.gen_random_uuid()",
    "bytea": "{} || '\\x00'::bytea",
    "json": "pg_catalog.json_build_array({})",
    "jsonb": "pg_catalog.jsonb_build_array({})",
}


@dataclass(frozen=True, slots=True)
class FileMutant:
    """The store serves a file of the dump wrongly: `alter(chunks, start, size)` is what it serves from `start` on."""

    name: str
    alter: Callable[[Iterator[bytes], int, int], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class DatabaseMutant:
    """The restored database is not what it was. `sabotage` says what it did; nothing: there was nothing to do it to."""

    name: str
    sabotage: Callable[[Session], str]


@dataclass(frozen=True, slots=True)
class BucketMutant:
    """The store serves another object's bytes for each object of a bucket snapshot."""

    name: str


Mutant: TypeAlias = FileMutant | DatabaseMutant | BucketMutant


def rotation(sequence: int) -> Iterator[Mutant]:
    """Yield all mutants once, beginning with the one whose turn it is for the set of this sequence."""
    for offset in range(len(MUTANTS)):
        yield MUTANTS[(sequence + offset) % len(MUTANTS)]


def rotating(sequence: int) -> Mutant:
    """Return the mutant whose turn it is for the set of this sequence."""
    return next(rotation(sequence))


class AlteredStore:
    """A store that serves one key's object altered; everything else is the true store's."""

    def __init__(
        self, store: BackupStore, key: str, alter: Callable[[Iterator[bytes], int, int], Iterator[bytes]]
    ) -> None:
        """`alter` is a `FileMutant`'s."""
        self._store, self._key, self._alter = store, key, alter

    def read(self, bucket: str, key: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """See `BackupStore.read`."""
        chunks = self._store.read(bucket, key, start=start, length=length)
        if key != self._key:
            return chunks
        found = self._store.find(bucket, key)
        return self._alter(chunks, start, found.size_bytes if found else 0)


class SwappedStore:
    """A store that serves each object of a bucket snapshot with its halves swapped, so that every member is another."""

    def __init__(self, store: BackupStore) -> None:
        """Wrap the true store."""
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def as_store(self) -> BackupStore:
        """Return it as what it behaves like."""
        return cast("BackupStore", self)

    def read(self, bucket: str, key: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """See `BackupStore.read`."""
        found = self._store.find(bucket, key) if any(part in key for part in _STORED_OBJECTS) else None
        if found is None or found.size_bytes < 2:  # noqa: PLR2004 - a single byte has no halves
            yield from self._store.read(bucket, key, start=start, length=length)
            return
        size = found.size_bytes
        middle = size // 2 // _TAR_BLOCK * _TAR_BLOCK or size // 2
        wanted = size - start if length is None else min(length, size - start)
        at = (start + middle) % size
        first = min(wanted, size - at)
        for begin, count in ((at, first), (0, wanted - first)):
            if count > 0:
                yield from self._store.read(bucket, key, start=begin, length=count)

    def read_whole(self, bucket: str, key: str, *, max_bytes: int) -> bytes:
        """See `BackupStore.read_whole`."""
        return b"".join(self.read(bucket, key))[: max_bytes + 1]

    def read_many(self, bucket: str, wanted: Iterable[ObjectInfo]) -> Iterator[tuple[ObjectInfo, bytes | TdevError]]:
        """See `BackupStore.read_many`."""
        for info in wanted:
            yield info, b"".join(self.read(bucket, info.key))


def _flipped(chunks: Iterator[bytes], start: int, size: int) -> Iterator[bytes]:
    target, at = size // 2, start
    for chunk in chunks:
        place = target - at
        at += len(chunk)
        if 0 <= place < len(chunk):
            yield chunk[:place] + bytes([chunk[place] ^ 1]) + chunk[place + 1 :]
        else:
            yield chunk


def _truncated(chunks: Iterator[bytes], start: int, size: int) -> Iterator[bytes]:
    end, at = size * 6 // 10, start
    for chunk in chunks:
        if kept := chunk[: max(0, end - at)]:
            yield kept
        at += len(chunk)


def _one_of(session: Session, candidates: list[dict[str, Any]], make: Callable[[dict[str, Any]], Composed]) -> str:
    """Try the candidates until a statement does something; return which that was."""
    session.rows("SET session_replication_role = replica")  # no trigger and no foreign key stands in the way
    for row in candidates:
        try:
            done = session.rows(make(row))
        except PermanentError:  # a constraint; the next candidate may have none
            continue
        if done:
            return ".".join(str(row[part]) for part in ("schema", "name", "column_name") if part in row)
    return ""


def _missing_table(session: Session) -> str:
    for row in session.rows(load_sql("backup/mutant_tables")):
        session.rows(SQL("DROP TABLE {} CASCADE").format(_relation(row)))
        return f"{row['schema']}.{row['name']}"
    return ""


def _missing_matview(session: Session) -> str:
    for row in session.rows(load_sql("backup/mutant_matviews")):
        session.rows(SQL("DROP MATERIALIZED VIEW {} CASCADE").format(_relation(row)))
        return f"{row['schema']}.{row['name']}"
    return ""


def _missing_large_object(session: Session) -> str:
    return "".join(f"large object {row['oid']}" for row in session.rows(load_sql("backup/mutant_large_object")))


def _changed_row(session: Session) -> str:
    def make(row: dict[str, Any]) -> Composed:
        value = SQL(_CHANGES[row["type_name"]]).format(Identifier(row["column_name"]))
        return _update(row, value, SQL("IS NOT NULL"))

    return _one_of(session, session.rows(load_sql("backup/mutant_columns"), {"types": list(_CHANGES)}), make)


def _missing_row(session: Session) -> str:
    statement = SQL("DELETE FROM ONLY {0} WHERE ctid = (SELECT ctid FROM ONLY {0} LIMIT 1) RETURNING 1")
    candidates = session.rows(load_sql("backup/mutant_columns"), {"types": list(_CHANGES)})
    return _one_of(session, candidates, lambda row: statement.format(_relation(row)))


def _empty_for_null(session: Session) -> str:
    columns = session.rows(load_sql("backup/mutant_columns"), {"types": ["text", "varchar"]})
    nullable = [row for row in columns if not row["required"]]
    return _one_of(session, nullable, lambda row: _update(row, SQL("''"), SQL("IS NULL"))) or _one_of(
        session, nullable, lambda row: _update(row, SQL("NULL"), SQL("= ''"))
    )


def _dropped_grant(session: Session) -> str:
    for row in session.rows(load_sql("backup/mutant_grants")):
        grantee = Identifier(row["grantee"]) if row["grantee"] else SQL("PUBLIC")
        session.rows(SQL("REVOKE ALL ON {} FROM {}").format(_relation(row), grantee))
        return f"{row['schema']}.{row['name']} from {row['grantee'] or 'PUBLIC'}"
    return ""


def _sequence_behind(session: Session) -> str:
    for row in session.rows(load_sql("backup/mutant_sequences")):
        session.rows(
            SQL("SELECT pg_catalog.setval({}::regclass, {})").format(
                Literal(_relation(row).as_string()), Literal(row["behind"])
            )
        )
        return f"{row['schema']}.{row['name']}"
    return ""


def _relation(row: dict[str, Any]) -> Identifier:
    return Identifier(row["schema"], row["name"])


def _update(row: dict[str, Any], value: SQL | Composed, where: SQL) -> Composed:
    statement = SQL(
        "UPDATE ONLY {table} SET {column} = {value}"
        " WHERE ctid = (SELECT ctid FROM ONLY {table} WHERE {column} {where} LIMIT 1) RETURNING 1"
    )
    column = Identifier(row["column_name"])
    return statement.format(table=_relation(row), column=column, value=value, where=where)


MUTANTS: tuple[Mutant, ...] = (
    FileMutant("one flipped byte", _flipped),
    DatabaseMutant("one row changed", _changed_row),
    FileMutant("a truncated object", _truncated),
    DatabaseMutant("a missing table", _missing_table),
    BucketMutant("a swapped bucket object"),
    DatabaseMutant("'' for NULL", _empty_for_null),
    DatabaseMutant("a dropped grant", _dropped_grant),
    DatabaseMutant("a sequence behind", _sequence_behind),
    DatabaseMutant("a missing row", _missing_row),
    DatabaseMutant("a missing large object", _missing_large_object),
    DatabaseMutant("a missing materialized view", _missing_matview),
)
