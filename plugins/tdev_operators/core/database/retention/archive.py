"""Archives: rows as Parquet in the bucket, streamed there, read back, and proven against what the snapshot held."""

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from psycopg.sql import SQL, Literal

from tdev_operators.core.backup.ports import Session, Upload
from tdev_operators.core.database.retention.columns import DIGEST, Column, binds_of, name_of, schema_of
from tdev_operators.core.database.retention.receipt import ARCHIVE, Folder, part_name
from tdev_operators.core.database.retention.statements import CURSOR, Statements
from tdev_operators.core.errors import ProofFailedError
from tdev_operators.core.private_folders import private_folder

_PAGE_BYTES = 32 * 2**20  # about what one page may take; rows larger than usual come in smaller pages
_COMPRESSION = "zstd"


@dataclass(frozen=True, slots=True)
class Part:
    """An archive object that was proven: its rows, the sum of their digests, the SHA-256 of its bytes, its last key."""

    number: int
    rows: int
    digest: str
    sha256: str
    bytes: int
    last_key: list[str]


def archived_parts(folder: Folder) -> list[Part] | None:
    """Return the proven parts of a finished archive; None when it is not finished."""
    found = folder.read(ARCHIVE)
    return None if found is None else [Part(**part) for part in found["parts"]]


def archive_rows(
    session: Session,
    statements: Statements,
    folder: Folder,
    *,
    part_rows: int,
    page_rows: int,
    metadata: dict[str, str],
    check: Callable[[], None],
) -> list[Part]:
    """Archive what is due for it, in parts, each proven before the next; what a dead predecessor proved is kept.

    All is read in one snapshot. Nothing is removed here.

    Raises:
        ProofFailedError: what the store gave back is not what the snapshot held.
        TransientError: store or database were away; another try goes on.
    """
    if (finished := archived_parts(folder)) is not None:
        return finished
    parts = list(_proven(folder))
    if statements.archives:
        page = max(1, min(page_rows, _PAGE_BYTES // statements.table.row_bytes))
        last = parts[-1].last_key if parts else None
        session.rows("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            session.rows(
                "SET LOCAL cursor_tuple_fraction = 1"
            )  # all of it is read: the plan that is quickest at the end
            keys = {f"k{at}": text for at, text in enumerate(last or ())}
            session.rows(statements.open_archive(resumed=last is not None), keys)
            lines = _pages(session, page, check)
            while (
                part := _write_part(session, statements, folder, len(parts) + 1, lines, part_rows, metadata)
            ) is not None:
                parts.append(part)
                folder.write(f"{part_name(part.number)}.json", asdict(part))
                check()
        finally:
            session.rows("ROLLBACK")
    folder.write(ARCHIVE, {"parts": [asdict(part) for part in parts], "rows": sum(part.rows for part in parts)})
    return parts


@contextmanager
def opened_part(folder: Folder, part: Part) -> Iterator[pq.ParquetFile]:
    """Read a part back from the store onto local disk, which must have room for it; it goes with the block.

    Raises:
        ProofFailedError: it is not, byte by byte, what was stored.
    """
    with private_folder() as scratch:
        path, digest = scratch / "part.parquet", hashlib.sha256()
        with path.open("wb") as file:
            for chunk in folder.store.read(folder.bucket, folder.key(part_name(part.number))):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != part.sha256:
            raise ProofFailedError(
                f"{folder.place}{part_name(part.number)} is not what was stored there; nothing of it is removed. Look "
                "at who writes into that bucket."
            )
        with pq.ParquetFile(path) as opened:
            yield opened


def prove(session: Session, statements: Statements, folder: Folder, part: Part) -> None:
    """Read a part back and let the database make its values again: their digests must be those of the snapshot.

    Raises:
        ProofFailedError: count, content or sum differ.
    """
    rows = wrong = total = 0
    with opened_part(folder, part) as opened:
        for group in range(opened.num_row_groups):
            sent = opened.read_row_group(group)
            [seen] = session.rows(statements.proof(), binds_of(statements.table.columns, sent))
            rows, wrong, total = rows + seen["rows"], wrong + seen["wrong"], total + int(seen["total"])
    if (rows, wrong, str(total)) != (part.rows, 0, part.digest):
        raise ProofFailedError(
            f"{folder.place}{part_name(part.number)} does not hold what the snapshot held: {rows} of {part.rows} rows, "
            f"{wrong} of them with other values; nothing is removed."
        )


def columns_of(metadata: dict[str, Any]) -> tuple[Column, ...]:
    """Return the columns that a plan notes."""
    return tuple(Column(**facts) for facts in metadata["columns"])


class _Sink(io.RawIOBase):
    """An upload as a file that Arrow writes, with the SHA-256 of what went through."""

    def __init__(self, upload: Upload) -> None:
        self._upload, self.sha256, self.size = upload, hashlib.sha256(), 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        chunk = bytes(data)
        self.sha256.update(chunk)
        self._upload.write(chunk)
        self.size += len(chunk)
        return len(chunk)

    def tell(self) -> int:
        return self.size


def _proven(folder: Folder) -> Iterator[Part]:
    number = 1
    while (facts := folder.read(f"{part_name(number)}.json")) is not None:
        yield Part(**facts)
        number += 1


def _pages(session: Session, page: int, check: Callable[[], None]) -> Iterator[list[str]]:
    fetch = SQL("-- rows to archive\nFETCH {} FROM {}").format(Literal(page), name_of(CURSOR))
    while rows := session.rows(fetch, {}):
        check()
        yield [row["line"] for row in rows]


def _write_part(
    session: Session,
    statements: Statements,
    folder: Folder,
    number: int,
    pages: Iterator[list[str]],
    part_rows: int,
    metadata: dict[str, str],
) -> Part | None:
    first = next(pages, None)
    if first is None:
        return None
    columns = statements.table.columns
    schema = schema_of(columns, metadata)
    rows = total = 0
    lines: list[str] | None = first
    with folder.store.upload(folder.bucket, folder.key(part_name(number))) as upload:
        sink = _Sink(upload)
        with pq.ParquetWriter(cast("IO[bytes]", sink), schema, compression=_COMPRESSION) as writer:
            while lines is not None:
                read = _read_lines(columns, lines, schema)
                writer.write_table(read, row_group_size=len(read))
                rows, total = rows + len(read), total + _sum(read)
                lines = next(pages, None) if rows < part_rows else None
        upload.complete()
    [last] = session.rows(statements.key_text(), binds_of(statements.table.key, read.slice(len(read) - 1)))
    part = Part(number, rows, str(total), sink.sha256.hexdigest(), sink.size, list(last.values()))
    prove(session, statements, folder, part)
    return part


def _read_lines(columns: tuple[Column, ...], lines: list[str], schema: pa.Schema) -> pa.Table:
    names = [*(column.name for column in columns), DIGEST]
    types = {column.name: column.read_as for column in columns} | {DIGEST: pa.int64()}
    text = "\n".join(lines).encode()
    read = pa.csv.read_csv(
        pa.py_buffer(text),
        read_options=pa.csv.ReadOptions(column_names=names, block_size=max(len(text) + 1, 1 << 20), use_threads=False),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pa.csv.ConvertOptions(
            column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )
    if len(read) != len(lines):
        raise ProofFailedError(f"Of {len(lines)} rows {len(read)} were understood; nothing is archived or removed.")
    return read.cast(schema)


def _sum(read: pa.Table) -> int:
    # Of 64-bit figures, so that it does not fit into 64 bits: the high and the low halves apart.
    digests = read.column(DIGEST)
    low = pc.bit_wise_and(digests, pa.scalar(2**32 - 1, pa.int64()))
    high = pc.shift_right(digests, pa.scalar(32, pa.int64()))
    return int(pc.sum(low).as_py()) + (int(pc.sum(high).as_py()) << 32)
