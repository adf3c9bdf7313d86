"""Stored bytes, read in few requests: neighbours in a pack come with one ranged read."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tdev_operators.core.backup.buckets.index import Entry
from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.errors import GarbledAnswerError

T = TypeVar("T")

# One request costs about as much time as reading 64 KiB; several spans are held at once, each of 4 MiB at most.
_GAP_BYTES = 64 * 1024
_SPAN_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Where a backups bucket keeps the sets of a system: `root` is `<system>/`."""

    bucket: str
    root: str

    def key_of(self, entry: Entry) -> str:
        """Return the whole key of the object that holds an entry's bytes."""
        return f"{self.root}{entry.set_id}/{entry.at}"

    def folder_of(self, set_id: str) -> str:
        """Return the folder of a set, with its slash."""
        return f"{self.root}{set_id}/"


@dataclass(slots=True)
class Span(Generic[T]):
    """Entries that lie together in one stored object, each with what the caller wants to know it by."""

    members: list[tuple[Entry, T]] = field(default_factory=list)

    @property
    def first(self) -> Entry:
        """The entry that begins it."""
        return self.members[0][0]

    @property
    def _start(self) -> int:
        return self.first.offset or 0

    @property
    def _end(self) -> int:
        last = self.members[-1][0]
        return (last.offset or 0) + last.length

    def takes(self, entry: Entry) -> bool:
        """Whether one request can bring this entry as well."""
        first = self.first
        return (
            first.packed
            and entry.offset is not None
            and (entry.set_id, entry.at) == (first.set_id, first.at)
            and 0 <= entry.offset - self._end <= _GAP_BYTES
            and entry.offset + entry.length - self._start <= _SPAN_BYTES
        )

    def read(self, store: BackupStore, place: Place) -> Iterator[tuple[Entry, T, bytes]]:
        """Yield each member of a span of a pack with its stored bytes.

        Raises:
            InputError: the pack is gone, or too short.
            GarbledAnswerError: the store gave another number of bytes than it was asked for.
        """
        start, length = self._start, self._end - self._start
        body = (
            b"".join(store.read(place.bucket, place.key_of(self.first), start=start, length=length)) if length else b""
        )
        if len(body) != length:
            raise GarbledAnswerError(
                f"The object store gave {len(body)} of the {length} bytes asked for of {place.key_of(self.first)}; "
                "mend the store."
            )
        for entry, tag in self.members:
            offset = (entry.offset or 0) - start
            yield entry, tag, body[offset : offset + entry.length]


def spans(batch: Iterable[tuple[Entry, T]]) -> Iterator[Span[T]]:
    """Group a batch of entries into spans, pack by pack; one that is no member of a pack is a span of its own."""
    span: Span[T] | None = None
    for entry, tag in sorted(batch, key=lambda pair: (pair[0].set_id, pair[0].at, pair[0].offset or 0)):
        if span is not None and span.takes(entry):
            span.members.append((entry, tag))
            continue
        if span is not None:
            yield span
        span = Span([(entry, tag)])
    if span is not None:
        yield span


class Sums:
    """Size, SHA-256 and MD5 of a stream that passes. MD5 is what a plain ETag is, and nothing is trusted to it."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.size_bytes = 0

    def of(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the chunks unchanged."""
        for chunk in chunks:
            self._sha256.update(chunk)
            self._md5.update(chunk)
            self.size_bytes += len(chunk)
            yield chunk

    def take(self, chunks: Iterable[bytes]) -> "Sums":
        """Let a whole stream pass."""
        for _ in self.of(chunks):
            pass
        return self

    @property
    def sha256(self) -> str:
        """SHA-256 of what passed, in hex."""
        return self._sha256.hexdigest()

    @property
    def md5(self) -> str:
        """MD5 of what passed, in hex."""
        return self._md5.hexdigest()


def looks_like_md5(etag: str) -> bool:
    """Whether an ETag may be the MD5 of its object: 32 hex digits. With KMS it looks the same, and is not."""
    return len(etag) == 32 and all(digit in "0123456789abcdef" for digit in etag)  # noqa: PLR2004 - MD5's length


def ends(store: BackupStore, bucket: str, key: str, size_bytes: int) -> bytes:
    """Return the beginning and the end of an object, 64 KiB each: by these, what was never copied is told cheaply."""
    head = min(size_bytes, _GAP_BYTES)
    tail = min(size_bytes - head, _GAP_BYTES)
    pieces = [store.read(bucket, key, start=0, length=head)] if head else []
    if tail:
        pieces.append(store.read(bucket, key, start=size_bytes - tail, length=tail))
    return b"".join(chunk for piece in pieces for chunk in piece)


def wrong_with(entry: Entry, sums: Sums) -> str:
    """Return what is wrong with the stored bytes of an entry; nothing: as far as is known they are as written."""
    if sums.size_bytes != entry.length:
        return f"have a length of {sums.size_bytes} instead of {entry.length}"
    if entry.sha256:
        return "" if sums.sha256 == entry.sha256 else "are not those that were written"
    # A copy that the store made and nobody has read yet.
    if entry.etag_is_md5 and sums.md5 != entry.etag:
        return "are not the object whose ETag the source had"
    return ""
