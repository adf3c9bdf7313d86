"""What a dump's table of contents says that it holds, by `pg_restore --list`, against what was seen and expected."""

import re
from collections.abc import Iterable
from pathlib import Path

from tdev_operators.core.backup.database.complaints import failure
from tdev_operators.core.commands import running
from tdev_operators.core.errors import ProofFailedError

_ENTRY = re.compile(rb"(\d+); \d+ \d+ (TABLE DATA|BLOBS) (.*)")
_LIST_SECONDS = 300.0
_SHOWN = 5
_CODECS = {"SQL_ASCII": "utf-8", "KOI8R": "koi8_r", "KOI8U": "koi8_u", "MULE_INTERNAL": "utf-8", "EUC_TW": "utf-8"}


class Contents:
    """The entries with data of one dump folder: `tables` as (file name, "schema name owner"), `large_objects` lists."""

    def __init__(self, pg_restore: Path, folder: Path, encoding: str) -> None:
        """Read `toc.dat` in a folder; its names are in the database's encoding.

        Raises:
            TdevError: as `complaints.failure` says.
        """
        self.tables: list[tuple[str, str]] = []
        self.large_objects: list[tuple[str, str]] = []
        self._rest = b""
        self._codec = _codec_of(encoding)
        argv = [str(pg_restore), "--list", str(folder)]
        with running(argv, env={}, on_stdout=self._take) as command:
            status = command.wait(_LIST_SECONDS)
            if error := failure("pg_restore --list", str(folder.name), status, command.stderr):
                raise error
        self._take(b"\n")

    def refuse_gaps(self, expected: Iterable[tuple[str, str]], seen: set[str]) -> None:
        """Compare with the tables that must be there and with the files that were seen.

        Raises:
            ProofFailedError: a table has no data entry, or an entry has no file.
        """
        lost = [text for file, text in self.tables if file not in seen]
        lost += [f"large objects ({either})" for either, other in self.large_objects if not {either, other} & seen]
        if lost:
            raise ProofFailedError(f"pg_dump named data that it did not write: {_shown(lost)}; dump again.")
        missing = _unmatched([f"{_flat(schema)} {_flat(name)}" for schema, name in expected], self.tables)
        if missing:
            raise ProofFailedError(f"pg_dump ended well without the data of {_shown(missing)}; dump again.")

    def _take(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            if found := _ENTRY.match(line):
                number = found[1].decode()
                if found[2] == b"BLOBS":
                    self.large_objects.append((f"blobs_{number}.toc", "blobs.toc"))
                else:
                    self.tables.append((f"{number}.dat", found[3].decode(self._codec, errors="surrogateescape")))


def _unmatched(expected: list[str], tables: list[tuple[str, str]]) -> list[str]:
    """Pair every expected "schema name" with an entry of its own; an entry's text goes on with the owner.

    With blanks in names an entry may fit several; those that fit one only are paired first.
    """
    left = set(expected)
    several: list[list[str]] = []
    for _, text in tables:
        fitting = [text[:at] for at in range(len(text)) if text[at] == " " and text[:at] in left]
        if len(fitting) == 1:
            left.discard(fitting[0])
        elif fitting:
            several.append(fitting)
    for fitting in several:
        for candidate in reversed(fitting):
            if candidate in left:
                left.discard(candidate)
                break
    return sorted(left)


def _flat(name: str) -> str:
    return name.replace("\n", " ").replace("\r", " ")


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _codec_of(encoding: str) -> str:
    name = encoding.upper()
    if name in _CODECS:
        return _CODECS[name]
    return f"cp{name[3:]}" if name.startswith("WIN") else name
