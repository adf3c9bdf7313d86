"""Restoring only a part: some tables' rows of a dump, and of the globals only the roles that are missing."""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tdev_operators.core.commands import MIB, run
from tdev_operators.core.errors import InputError, ProofFailedError

_SECONDS = 120.0
_LISTING_BYTES = 256 * MIB
_ENTRY = re.compile(r"(\d+); \d+ \d+ (.+)")
_DATA = "TABLE DATA "
# Rows of a part may refer to rows that are not there; a materialized view would be made of a part; large objects stay.
_LEFT_OUT = re.compile(r"FK CONSTRAINT |MATERIALIZED VIEW DATA |BLOB|(?:ACL|COMMENT|SECURITY LABEL) - LARGE OBJECT")
# The statements of `pg_dumpall` about one role: it is made, given attributes, settings, a comment and labels.
_OF_ROLE = re.compile(
    r'(?:CREATE ROLE|ALTER ROLE|COMMENT ON ROLE|SECURITY LABEL .*? ON ROLE) ("(?:[^"]|"")+"|[^\s";]+)', re.DOTALL
)
_MEMBERSHIP = re.compile(r'GRANT ("(?:[^"]|"")+"|[^\s";]+) TO ("(?:[^"]|"")+"|[^\s";]+)', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Selection:
    """A list for `pg_restore --use-list`, and the files of the dump that it makes pg_restore read."""

    listing: str
    files: frozenset[str]


def select(pg_restore: Path, folder: Path, tables: Collection[tuple[str, str]]) -> Selection:
    """Choose the rows of some tables, (schema, name), and everybody's definitions but foreign keys.

    Raises:
        InputError: a table has no rows in the dump.
        ProofFailedError: the table of contents cannot be read.
    """
    argv = [str(pg_restore), "--list", str(folder)]
    listed = run(argv, timeout_seconds=_SECONDS, output_limit_bytes=_LISTING_BYTES)
    if listed.exit_status != 0 or listed.truncated:
        raise ProofFailedError(f"The table of contents of the dump cannot be listed: {listed.stderr.strip()[:300]}")
    return selected(listed.stdout, tables)


def selected(listing: str, tables: Collection[tuple[str, str]]) -> Selection:
    """Return the lines of a listing that stay, as they are."""
    # pg_restore writes blanks for the line breaks of a name.
    missing = {f"{_DATA}{' '.join(schema.splitlines())} {' '.join(name.splitlines())} " for schema, name in tables}
    wanted = frozenset(missing)
    kept, files = [], set()
    for line in listing.splitlines():
        match = _ENTRY.fullmatch(line)
        if match is None:
            continue
        number, what = match.groups()
        if what.startswith(_DATA):
            found = next((beginning for beginning in wanted if what.startswith(beginning)), "")
            if not found:
                continue
            missing.discard(found)
            files.add(f"{number}.dat")
        elif _LEFT_OUT.match(what):
            continue
        kept.append(line)
    if missing:
        name = min(missing).removeprefix(_DATA).strip()
        raise InputError(f"The dump has no rows of {name}; choose a table that holds rows of its own.")
    return Selection("\n".join(kept) + "\n", frozenset(files))


def without_roles(lines: Iterable[str], kept: Collection[str]) -> Iterator[str]:
    """Yield the lines of globals without what they say of the roles `kept`, memberships of theirs included."""
    for statement in _statements(lines):
        text = "".join(statement).lstrip()
        role = _OF_ROLE.match(text)
        member = _MEMBERSHIP.match(text)
        name = role.group(1) if role else member.group(2) if member else ""
        if not name or _plain(name) not in kept:
            yield from statement


def _statements(lines: Iterable[str]) -> Iterator[list[str]]:
    """Group lines: a comment on a role may have several."""
    statement: list[str] = []
    for line in lines:
        statement.append(line)
        if "".join(statement).count("'") % 2 == 0:
            yield statement
            statement = []
    if statement:
        yield statement


def _plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
