"""The index of a snapshot: a line of JSON an object in key order, and a last line by which truncation shows.

    {"key": "a/1.py", "size": 3456, "etag": "...", "modified": "2026-11-25T21:00:04+00:00", "sha256": "...",
     "set": "000007-20261125T210000Z-0f3a9c", "at": "buckets/agents/packs/<sha256>.tar", "offset": 1024,
     "length": 3456, "verified_at": "2026-11-25T21:00:31+00:00"}
    ...
    {"end": 1, "objects": 5200, "bytes": 417000000}

The bytes of an object are `length` bytes from `offset` of the object `<system>/<set>/<at>`; all of it when `offset` is
null. `sha256` is that of these stored bytes; "" for a copy that the store made and nobody has read yet. `"md5": true`
says that the ETag was found to be the MD5 of the content, which it is not after a multipart upload or with KMS. Keys
are ordered as their UTF-8 bytes are, which is the order of code points and of Python's strings.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from tdev_operators.core.backup.cipher import Cipher
from tdev_operators.core.backup.manifest import StoredFile
from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.backup.streams import Digest, compressed, compressor, decompressed
from tdev_operators.core.errors import GarbledAnswerError
from tdev_operators.core.ports import ObjectInfo

_FORMAT = 1
_CHUNK_BYTES = 1 << 16
_MARK = "~"
# A key has at most 1,024 bytes, each at most six characters of JSON. A longer line is no line of an index.
_LONGEST_LINE = 1 << 16


class Entry(NamedTuple):
    """An object of a snapshot. A tuple, since a bucket may hold millions.

    `set_id` is the set that wrote the bytes, `at` their object relative to that set's folder; `offset` is None when
    they are the whole of it. `length` counts stored bytes. `verified_at` is when they were last written or read and
    found right. `etag_is_md5`: the content was found to have the ETag for its MD5.
    """

    key: str
    size_bytes: int
    etag: str
    modified: datetime
    sha256: str
    set_id: str
    at: str
    offset: int | None
    length: int
    verified_at: datetime
    etag_is_md5: bool = False

    @property
    def packed(self) -> bool:
        """Whether the bytes stand in a pack, among others."""
        return self.offset is not None

    def is_of(self, info: ObjectInfo) -> bool:
        """Whether this is the content that a listing shows: same size, same ETag (or its mark)."""
        return (
            self.size_bytes == info.size_bytes
            and self.etag != ""
            and self.etag in (info.etag, info.etag and mark_of(info.key, info.etag, info.size_bytes))
        )

    def marked(self) -> "Entry":
        """Return what may be stored unsealed beside an encrypted index: a mark instead of the ETag."""
        return self._replace(etag=mark_of(self.key, self.etag, self.size_bytes) if self.etag else "")


def mark_of(key: str, etag: str, size_bytes: int) -> str:
    """Return a digest by which the same content is known again and nothing is learnt of other content."""
    text = f"{key}\0{etag}\0{size_bytes}"
    return _MARK + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def encode(entry: Entry) -> bytes:
    """Return an entry's line."""
    record = {
        "key": entry.key,
        "size": entry.size_bytes,
        "etag": entry.etag,
        "modified": entry.modified.isoformat(),
        "sha256": entry.sha256,
        "set": entry.set_id,
        "at": entry.at,
        "offset": entry.offset,
        "length": entry.length,
        "verified_at": entry.verified_at.isoformat(),
        **({"md5": True} if entry.etag_is_md5 else {}),
    }
    return json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n"


def _decode(record: dict[str, Any]) -> Entry:
    return Entry(
        record["key"],
        record["size"],
        record["etag"],
        datetime.fromisoformat(record["modified"]),
        record["sha256"],
        record["set"],
        record["at"],
        record["offset"],
        record["length"],
        datetime.fromisoformat(record["verified_at"]),
        record.get("md5", False),
    )


@dataclass(slots=True)
class Totals:
    """What an index holds, counted while it is written or read."""

    objects: int = 0
    size_bytes: int = 0

    def add(self, entry: Entry) -> None:
        """Count one entry."""
        self.objects += 1
        self.size_bytes += entry.size_bytes

    def trailer(self) -> bytes:
        """Return the last line."""
        return json.dumps({"end": _FORMAT, "objects": self.objects, "bytes": self.size_bytes}).encode("ascii") + b"\n"


def lines_of(entries: Iterable[Entry], totals: Totals) -> Iterator[bytes]:
    """Yield the plain text of an index in chunks, counting into `totals`; the entries come in key order."""
    chunk = bytearray()
    for entry in entries:
        totals.add(entry)
        chunk += encode(entry)
        if len(chunk) >= _CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    yield bytes(chunk) + totals.trailer()


def entries_of(chunks: Iterable[bytes]) -> Iterator[Entry]:
    """Yield the entries of an index's plain text.

    Raises:
        GarbledAnswerError: a line is no entry, the order is broken, the last line is missing or tells another count.
    """
    totals = Totals()
    last: str | None = None
    lines = _lines(chunks)
    for line in lines:
        try:
            record = json.loads(line)
            if "end" in record:
                break
            entry = _decode(record)
        except (ValueError, KeyError, TypeError):
            raise _damaged(f"its line {totals.objects + 1} is no entry") from None
        if last is not None and entry.key <= last:
            raise _damaged(f"its keys are not in order at line {totals.objects + 1}")
        last = entry.key
        totals.add(entry)
        yield entry
    else:
        raise _damaged("its last line is missing, so that it is cut off")
    if record != json.loads(totals.trailer()):
        raise _damaged(f"it holds {totals.objects} entries and its last line tells otherwise")
    if next(lines, None) is not None:
        raise _damaged("something follows its last line")


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
        if len(rest) > _LONGEST_LINE:
            raise _damaged("it has a line without end")
    if rest:
        yield rest


def _damaged(why: str) -> GarbledAnswerError:
    return GarbledAnswerError(f"The index of a bucket's snapshot is damaged: {why}; take a full backup.")


def write_index(
    store: BackupStore, bucket: str, folder: str, key: str, entries: Iterable[Entry], *, level: int, cipher: Cipher
) -> tuple[StoredFile, Totals]:
    """Stream an index to `folder + key` (and the cipher's suffix): compressed, sealed, digested.

    Nothing is stored when the entries end with an exception.
    """
    totals, digest = Totals(), Digest()
    key += cipher.suffix
    with store.upload(bucket, folder + key) as upload:
        for chunk in digest.of(cipher.seal(compressed(lines_of(entries, totals), level))):
            upload.write(chunk)
        upload.complete()
    return StoredFile(key=key, size_bytes=digest.size_bytes, sha256=digest.sha256), totals


class IndexWriter:
    """An unsealed index that takes its entries one by one; `write` gets the compressed chunks."""

    def __init__(self, write: Callable[[bytes], None], *, level: int) -> None:
        """Begin a zstd frame."""
        self.totals = Totals()
        self._digest = Digest()
        self._write = write
        self._frame = compressor(level).compressobj()
        self._waiting = bytearray()

    def add(self, entry: Entry) -> None:
        """Take the next entry in key order."""
        self.totals.add(entry)
        self._waiting += encode(entry)
        if len(self._waiting) >= _CHUNK_BYTES:
            self._flush()

    def close(self, key: str) -> StoredFile:
        """Write the last line and end the frame; return what was written, to be known as `key`."""
        self._waiting += self.totals.trailer()
        self._flush()
        self._pass(self._frame.flush())
        return StoredFile(key=key, size_bytes=self._digest.size_bytes, sha256=self._digest.sha256)

    def _flush(self) -> None:
        self._pass(self._frame.compress(bytes(self._waiting)))
        self._waiting.clear()

    def _pass(self, chunk: bytes) -> None:
        if chunk:
            self._digest.add(chunk)
            self._write(chunk)


def read_index(store: BackupStore, bucket: str, folder: str, stored: StoredFile, cipher: Cipher) -> Iterator[Entry]:
    """Stream the entries of an index at `folder + stored.key`, in key order.

    Whoever iterates to the end knows that it is whole.

    Raises:
        GarbledAnswerError: it is damaged, cut off, or not the file that the manifest names.
        AccessDeniedError: it is encrypted and there is no fitting identity.
        InputError: it is gone.
    """
    digest = Digest()
    stored_bytes = digest.of(store.read(bucket, folder + stored.key))
    sealed = stored.key.endswith(cipher.suffix) if cipher.suffix else False
    yield from entries_of(decompressed(cipher.open(stored_bytes) if sealed else stored_bytes))
    for _ in stored_bytes:
        pass
    if (digest.size_bytes, digest.sha256) != (stored.size_bytes, stored.sha256):
        raise _damaged("its digest is not the one of the manifest")
