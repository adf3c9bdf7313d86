"""What a `pg_dump` of the whole database would dump, and whether the role may read all of it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from psycopg import sql

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.sql import load_sql

Kind = Literal["table", "partitioned", "matview", "foreign"]

# What the text forms of values and definitions depend on; pg_dump pins nearly the same. `row_security = off` makes a
# hidden row an error, and the workers are the `jobs` of the caller, not PostgreSQL's.
PINNED: Mapping[str, str] = {
    "search_path": "",
    "row_security": "off",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "xmloption": "content",
    "quote_all_identifiers": "off",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}

_SEQUENCES_A_STATEMENT = 200
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Column:
    """A column. `base` is its type's name when that is built in (domains resolved to their base), else empty.

    `signature` is its whole definition in words, with its own grants. `padded` marks a char(n).
    """

    name: str
    base: str
    padded: bool
    signature: str


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation that is dumped. `bytes` is 0 for what has no rows of its own; `heap` tells whether ctid has ranges.

    `acl` is the grants in force, one text each, sorted. `condition` is the WHERE of an extension's configuration table.
    """

    oid: int
    schema: str
    name: str
    kind: Kind
    owner: str
    acl: tuple[str, ...]
    row_security: bool
    populated: bool
    bytes: int
    heap: bool
    condition: str
    columns: tuple[Column, ...]

    @property
    def title(self) -> str:
        """The name for messages."""
        return title(self.schema, self.name)


@dataclass(frozen=True, slots=True)
class Sequence:
    """A sequence, and how far it has come."""

    oid: int
    schema: str
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
        return title(self.schema, self.name)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """A database's content by name. Locale facts are those of its default collation."""

    server_version_num: int
    encoding: str
    collation: str
    character_type: str
    locale_provider: Literal["libc", "icu", "builtin"]
    locale: str
    collations: tuple[str, ...]  # "provider:locale" of each collation that is needed beside the default
    extensions: Mapping[str, str]
    relations: tuple[Relation, ...]
    sequences: tuple[Sequence, ...]
    large_objects: int

    @property
    def major(self) -> int:
        """The server's major version, for example 18."""
        return self.server_version_num // 10_000

    @property
    def tables(self) -> tuple[Relation, ...]:
        """What has rows that are dumped: ordinary tables and leaf partitions."""
        return tuple(relation for relation in self.relations if relation.kind == "table")

    @property
    def lockable(self) -> tuple[Relation, ...]:
        """What can be locked before the dump: tables, leaf partitions and their parents."""
        return tuple(relation for relation in self.relations if relation.kind in {"table", "partitioned"})


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a server offers to a database that is restored there. `collations` are "provider:locale"."""

    major: int
    icu: bool
    extensions: Mapping[str, str] = field(default_factory=dict)  # name: the version that CREATE EXTENSION makes
    collations: frozenset[str] = frozenset()


def title(schema: str, name: str) -> str:
    """Return a qualified name for messages, with quotes where they help to read it; not for statements."""
    return ".".join(part if _PLAIN.fullmatch(part) else _quoted(part) for part in (schema, name))


def pin(session: Session, *, local: bool = False) -> None:
    """Set what text forms depend on, for the session or (`local`) until its transaction ends. Takes no snapshot."""
    form = sql.SQL("SET LOCAL {} = {}" if local else "SET {} = {}")
    for name, value in PINNED.items():
        session.rows(form.format(sql.Identifier(name.lower()), sql.Literal(value)))


def read_catalogue(session: Session) -> Catalogue:
    """List what is there for the session's snapshot. The session is pinned (`pin`).

    Raises:
        InputError: a sequence was dropped while they were read; list again.
        AccessDeniedError: a sequence may not be read.
    """
    [database] = session.rows(load_sql("backup/database"))
    relations = tuple(_relation(row) for row in session.rows(load_sql("backup/relations")))
    return Catalogue(
        server_version_num=database["server_version_num"],
        encoding=database["encoding"],
        collation=database["collation"],
        character_type=database["character_type"],
        locale_provider=database["locale_provider"],
        locale=database["locale"],
        collations=tuple(row["collation"] for row in session.rows(load_sql("backup/collations"))),
        extensions={row["name"]: row["version"] for row in session.rows(load_sql("backup/extensions"))},
        relations=relations,
        sequences=tuple(_sequences(session)),
        large_objects=database["large_objects"],
    )


def missing_privileges(session: Session) -> list[str]:
    """Return a sentence for each thing that a dump by this role could not read, with the statement that mends it."""
    [who] = session.rows(load_sql("backup/role"))
    role = sql.Identifier(who["name"]).as_string()
    sentences = []
    for row in session.rows(load_sql("backup/privileges")):
        schema, name = row["schema"], row["name"]
        match row["lacks"]:
            case "usage":
                said = f"The schema {_quoted(name)} cannot be entered: GRANT USAGE ON SCHEMA {_quoted(name)} TO {role};"
            case "table":
                what = _quoted(schema, name)
                said = f"The table {what} cannot be read: GRANT SELECT ON TABLE {what} TO {role};"
            case "sequence":
                what = _quoted(schema, name)
                said = f"The sequence {what} cannot be read: GRANT SELECT ON SEQUENCE {what} TO {role};"
            case "row_security":
                what = _quoted(schema, name)
                said = f"The table {what} hides rows by row-level security: ALTER ROLE {role} BYPASSRLS;"
            case _:
                said = f"The large object {name} cannot be read: GRANT SELECT ON LARGE OBJECT {name} TO {role};"
        sentences.append(said)
    return sentences


def abilities(session: Session) -> Abilities:
    """Look at what a server offers to a database that is restored there."""
    [server] = session.rows(load_sql("backup/abilities"))
    return Abilities(
        major=server["major"],
        icu=server["icu"],
        extensions=server["extensions"],
        collations=frozenset(server["collations"]),
    )


def unprovable(catalogue: Catalogue, scratch: Abilities) -> list[str]:
    """Return a sentence for each thing without which the database cannot be restored on this server as it was."""
    found = []
    if catalogue.major != scratch.major:
        found.append(
            f"unprovable: needs PostgreSQL {catalogue.major}, and the scratch server is a {scratch.major}; give it a "
            "scratch server of that major version."
        )
    for name, version in sorted(catalogue.extensions.items()):
        offered = scratch.extensions.get(name)
        if offered is None:
            found.append(f"unprovable: needs {name}; install that extension on the scratch server.")
        elif offered != version:
            found.append(
                f"unprovable: needs {name} {version}, and the scratch server would make {offered}; install that "
                "version there, or update the extension at the source."
            )
    default = f"{catalogue.locale_provider}:{catalogue.locale}"
    ctype = {f"libc:{name}" for name in (catalogue.collation, catalogue.character_type)}
    for wanted in sorted({default, *ctype, *catalogue.collations}):
        if not _offers(scratch, wanted):
            provider, _, locale = wanted.partition(":")
            found.append(f"unprovable: needs the {provider} locale {locale}; install it on the scratch server.")
    return found


def _offers(scratch: Abilities, wanted: str) -> bool:
    provider, _, locale = wanted.partition(":")
    if provider == "icu":
        return scratch.icu
    if locale in {"C", "POSIX", ""} or provider == "builtin":  # a builtin locale is bound to the major version
        return True
    return _normal(wanted) in {_normal(offered) for offered in scratch.collations}


def _normal(collation: str) -> str:
    # The operating system takes en_US.UTF-8 and en_US.utf8 for the same.
    return collation.lower().replace("-", "")


def _quoted(*names: str) -> str:
    return sql.Identifier(*names).as_string()


def _relation(row: Mapping[str, Any]) -> Relation:
    columns = tuple(
        Column(name=each["name"], base=each["base"], padded=each["padded"], signature=each["signature"])
        for each in row["columns"]
    )
    return Relation(**{**row, "acl": tuple(sorted(row["acl"])), "columns": columns})


def _sequences(session: Session) -> Iterator[Sequence]:
    rows = session.rows(load_sql("backup/sequences"))
    for start in range(0, len(rows), _SEQUENCES_A_STATEMENT):
        chunk = rows[start : start + _SEQUENCES_A_STATEMENT]
        parts = [
            sql.SQL("SELECT {}::int8 AS oid, last_value, is_called FROM {}").format(
                sql.Literal(row["oid"]), sql.Identifier(row["schema"], row["name"])
            )
            for row in chunk
        ]
        query = sql.SQL("-- how far the sequences are\n") + sql.SQL(" UNION ALL ").join(parts)
        states = {state["oid"]: state for state in session.rows(query)}
        for row in chunk:
            state = states[row["oid"]]
            yield Sequence(
                **{**row, "acl": tuple(sorted(row["acl"]))},
                last_value=state["last_value"],
                is_called=state["is_called"],
            )
