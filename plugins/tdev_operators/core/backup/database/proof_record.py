"""What a database held at one snapshot, in a form that is kept, and how two such records differ."""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from tdev_operators.core.backup.database.catalogue import Catalogue, Kind, Relation, title
from tdev_operators.core.backup.database.catalogue import Sequence as CatalogueSequence
from tdev_operators.core.backup.database.digests import (
    METHOD,
    LargeObjectsDigest,
    TableDigest,
    digest_all,
    digest_large_objects,
)
from tdev_operators.core.backup.database.snapshot import HeldSnapshot, held_snapshot
from tdev_operators.core.backup.manifest import Record
from tdev_operators.core.backup.ports import Session, SourceDatabase
from tdev_operators.core.sql import load_sql

_LOCK_WAIT_SECONDS = 60.0  # on a restored database nobody else is at work


class TableRecord(Record):
    """A relation: `rows` and `digest` stand for the rows of its own, and are empty for what has none."""

    schema_name: str
    name: str
    kind: Kind
    rows: int | None
    digest: str
    owner: str
    acl: tuple[str, ...]
    row_security: bool
    populated: bool
    columns: str

    @property
    def title(self) -> str:
        """The name for messages."""
        return title(self.schema_name, self.name)


class SequenceRecord(Record):
    """A sequence and how far it had come."""

    schema_name: str
    name: str
    owner: str
    acl: tuple[str, ...]
    definition: str
    increment: int
    last_value: int
    is_called: bool

    @property
    def title(self) -> str:
        """The name for messages."""
        return title(self.schema_name, self.name)

    @property
    def next_value(self) -> int:
        """What it gives next."""
        return self.last_value + self.increment if self.is_called else self.last_value


class ProofRecord(Record):
    """A database at one snapshot.

    `definitions` holds a digest for each object by its title (`view public.v`), `rights` its owner and grants in words.
    """

    format: Literal[1] = 1
    method: str
    major: int
    encoding: str
    collation: str
    locale_provider: str
    tables: tuple[TableRecord, ...]
    sequences: tuple[SequenceRecord, ...]
    extensions: dict[str, str]
    large_objects: int
    large_objects_digest: str
    definitions: dict[str, str]
    rights: dict[str, str]

    @property
    def rows(self) -> int:
        """How many rows all tables have."""
        return sum(table.rows or 0 for table in self.tables)

    def to_bytes(self) -> bytes:
        """Return the JSON that is stored."""
        return self.model_dump_json(indent=1).encode()


@dataclass(frozen=True, slots=True)
class SchemaFacts:
    """The part of a record that is not rows: see `ProofRecord`."""

    definitions: dict[str, str]
    rights: dict[str, str]
    large_objects: LargeObjectsDigest


def record(
    source: SourceDatabase,
    snapshot: HeldSnapshot | None = None,
    *,
    jobs: int,
    progress: Callable[[str], None] = lambda _: None,
    still_ours: Callable[[], None] = lambda: None,
) -> ProofRecord:
    """Record what a database holds under a snapshot, or, for a restored one, under a snapshot of its own.

    Raises:
        AccessDeniedError, BusyError, InputError, TargetTimeoutError, TargetUnreachableError, GarbledAnswerError; and
        what `still_ours` raises.
    """
    with ExitStack() as stack:
        held = snapshot or stack.enter_context(held_snapshot(source, lock_wait_seconds=_LOCK_WAIT_SECONDS))
        # First what the snapshot does not hold still: functions and views may be replaced while the tables are read.
        schema = read_schema(held.session)
        digests = digest_all(source, held.id, held.catalogue.tables, jobs, progress, still_ours)
        return assembled(held.catalogue, schema, digests)


def read_schema(session: Session) -> SchemaFacts:
    """Read definitions, rights and large objects. The session is pinned (`catalogue.pin`)."""
    definitions, rights = {}, {}
    for row in session.rows(load_sql("backup/definitions")):
        name = f"{row['kind']} {row['name']}"
        definitions[name] = _sha256(row["definition"] or "")
        if row["rights"] is not None:
            rights[name] = row["rights"]
    return SchemaFacts(definitions, rights, digest_large_objects(session))


def assembled(catalogue: Catalogue, schema: SchemaFacts, digests: Mapping[tuple[str, str], TableDigest]) -> ProofRecord:
    """Put a record together from its parts."""
    return ProofRecord(
        method=METHOD,
        major=catalogue.major,
        encoding=catalogue.encoding,
        collation=catalogue.collation,
        locale_provider=catalogue.locale_provider,
        tables=tuple(_table(relation, digests) for relation in catalogue.relations),
        sequences=tuple(_sequence(sequence) for sequence in catalogue.sequences),
        extensions=dict(catalogue.extensions),
        large_objects=schema.large_objects.count,
        large_objects_digest=schema.large_objects.digest,
        definitions=schema.definitions,
        rights=schema.rights,
    )


def compare(expected: ProofRecord, found: ProofRecord) -> tuple[str, ...]:
    """Return a sentence for each difference between the source and what was restored; none when all is there.

    A sequence may be ahead: the dump reads it after the snapshot.
    """
    for what, wanted, got in (
        ("method of digest", expected.method, found.method),
        ("major version of PostgreSQL", str(expected.major), str(found.major)),
    ):
        if wanted != got:
            return (f"The records cannot be compared: the {what} was {wanted} at the source and is {got} here.",)
    return tuple(_differences(expected, found))


def compare_tables(expected: ProofRecord, found: ProofRecord, titles: Collection[str]) -> tuple[str, ...]:
    """Return a sentence for each difference of these tables alone: rows, content, columns, owner and grants."""
    if refused := compare(expected.model_copy(update=_NOTHING), found.model_copy(update=_NOTHING)):
        return refused
    wanted = {name: table for name, table in _by_title(expected.tables).items() if name in titles}
    got = {name: table for name, table in _by_title(found.tables).items() if name in titles}
    return tuple(_paired("relation", wanted, got, _table_differences))


def _differences(expected: ProofRecord, found: ProofRecord) -> Iterator[str]:
    for what, wanted, got in (
        ("encoding", expected.encoding, found.encoding),
        ("collation", expected.collation, found.collation),
        ("locale provider", expected.locale_provider, found.locale_provider),
    ):
        if wanted != got:
            yield f"The {what} of the database was {wanted} at the source and is {got} here."
    yield from _paired("relation", _by_title(expected.tables), _by_title(found.tables), _table_differences)
    yield from _paired("sequence", _by_title(expected.sequences), _by_title(found.sequences), _sequence_differences)
    yield from _extension_differences(expected.extensions, found.extensions)
    if (expected.large_objects, expected.large_objects_digest) != (found.large_objects, found.large_objects_digest):
        counted = f"{expected.large_objects} at the source and {found.large_objects} here"
        yield f"The large objects differ in number, content, owners or grants: {counted}."
    yield from _paired("object", expected.definitions, found.definitions, _definition_differences)
    for name in expected.rights.keys() & found.rights.keys():
        if expected.rights[name] != found.rights[name]:
            yield f"The rights of {name} were {expected.rights[name]} at the source and are {found.rights[name]} here."


# What of a record is compared apart from the tables.
_NOTHING: Mapping[str, Any] = {
    "tables": (),
    "sequences": (),
    "extensions": {},
    "large_objects": 0,
    "large_objects_digest": "",
    "definitions": {},
    "rights": {},
}

_Item = TypeVar("_Item")
_Named = TypeVar("_Named", TableRecord, SequenceRecord)


def _by_title(items: tuple[_Named, ...]) -> dict[str, _Named]:
    return {item.title: item for item in items}


def _paired(
    what: str,
    expected: Mapping[str, _Item],
    found: Mapping[str, _Item],
    differences: Callable[[str, _Item, _Item], Iterator[str]],
) -> Iterator[str]:
    for name, wanted in expected.items():
        if name in found:
            yield from differences(name, wanted, found[name])
        else:
            yield f"The {what} {name} is missing."
    for name in found:
        if name not in expected:
            yield f"The {what} {name} was not at the source."


def _table_differences(name: str, wanted: TableRecord, got: TableRecord) -> Iterator[str]:
    if wanted.kind != got.kind:
        yield f"{name} was a {wanted.kind} at the source and is a {got.kind} here."
    if wanted.rows != got.rows:
        yield f"{name} had {wanted.rows} rows at the source and has {got.rows} here."
    elif wanted.digest != got.digest:
        yield f"{name} has as many rows as at the source ({got.rows}), and their content differs."
    if wanted.columns != got.columns:
        yield f"{name} has other columns than at the source, or other grants on them."
    if wanted.populated and not got.populated:
        yield f"{name} was populated at the source and is not here."
    if wanted.row_security != got.row_security:
        state = {True: "on", False: "off"}
        yield f"Row-level security of {name} was {state[wanted.row_security]} and is {state[got.row_security]} here."
    yield from _right_differences(name, wanted, got)


def _sequence_differences(name: str, wanted: SequenceRecord, got: SequenceRecord) -> Iterator[str]:
    if wanted.definition != got.definition:
        yield f"The sequence {name} was ({wanted.definition}) at the source and is ({got.definition}) here."
    behind = got.next_value < wanted.next_value if wanted.increment > 0 else got.next_value > wanted.next_value
    if behind:
        yield f"The sequence {name} is behind: it would give {got.next_value}, the source {wanted.next_value}."
    yield from _right_differences(name, wanted, got)


def _right_differences(
    name: str, wanted: TableRecord | SequenceRecord, got: TableRecord | SequenceRecord
) -> Iterator[str]:
    if wanted.owner != got.owner:
        yield f"{name} belonged to {wanted.owner} at the source and belongs to {got.owner} here."
    lost, gained = set(wanted.acl) - set(got.acl), set(got.acl) - set(wanted.acl)
    if lost:
        yield f"{name} has lost grants: {', '.join(sorted(lost))}."
    if gained:
        yield f"{name} has grants that it had not at the source: {', '.join(sorted(gained))}."


def _extension_differences(expected: Mapping[str, str], found: Mapping[str, str]) -> Iterator[str]:
    for name, version in expected.items():
        if name not in found:
            yield f"The extension {name} is missing."
        elif found[name] != version:
            yield f"The extension {name} had version {version} at the source and has {found[name]} here."


def _definition_differences(name: str, wanted: str, got: str) -> Iterator[str]:
    if wanted != got:
        yield f"The {name} is defined otherwise than at the source."


def _table(relation: Relation, digests: Mapping[tuple[str, str], TableDigest]) -> TableRecord:
    held = digests.get((relation.schema, relation.name))
    return TableRecord(
        schema_name=relation.schema,
        name=relation.name,
        kind=relation.kind,
        rows=held.rows if held else None,
        digest=held.digest if held else "",
        owner=relation.owner,
        acl=relation.acl,
        row_security=relation.row_security,
        populated=relation.populated,
        columns=_sha256("\n".join(column.signature for column in relation.columns)),
    )


def _sequence(sequence: CatalogueSequence) -> SequenceRecord:
    return SequenceRecord(
        schema_name=sequence.schema,
        name=sequence.name,
        owner=sequence.owner,
        acl=sequence.acl,
        definition=sequence.definition,
        increment=sequence.increment,
        last_value=sequence.last_value,
        is_called=sequence.is_called,
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
