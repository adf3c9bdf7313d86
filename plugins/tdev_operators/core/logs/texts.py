"""The text of a log file from its bytes: as it is, or unpacked. What it is, its first bytes say and not its name."""

import zlib
from collections.abc import Iterator

from isal import isal_zlib

_GZIP = b"\x1f\x8b"
_UNREADABLE = {b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"\x1f\x9d": "compress"}
_WITH_HEADER = zlib.MAX_WBITS | 16
# At most so much is unpacked at once: a small file may hold terabytes of one letter.
_PIECE_BYTES = 1024 * 1024
_SLICE_BYTES = 64 * 1024


class TextError(ValueError):
    """The bytes are no text that can be read to its end; what was read before counts."""


class ShorterError(TextError):
    """The text is shorter than what was to be left out of it."""


def is_packed(head: bytes) -> bool:
    """Whether a file with these first bytes is a .gz.

    Raises:
        TextError: it is packed by something else.
    """
    for magic, name in _UNREADABLE.items():
        if head.startswith(magic):
            raise TextError(f"it is packed by {name}, and only gzip is read")
    return head.startswith(_GZIP)


def text_of(chunks: Iterator[bytes], *, skip: int = 0, begins: bool = True) -> Iterator[bytes]:
    """Yield the text of a file from its bytes, without its first `skip` bytes.

    `begins`: these are its first bytes, which say whether it is packed; in the midst of a text they say nothing.

    Raises:
        TextError: it is damaged or ends too early, or is packed by something else than gzip.
        ShorterError: it has no `skip` bytes.
    """
    if not begins:
        yield from chunks
        return
    first = next(chunks, b"")
    while len(first) < max(map(len, _UNREADABLE)):  # a pipe may give as little as a byte
        more = next(chunks, b"")
        if not more:
            break
        first += more
    pieces = _unpacked(_chained(first, chunks)) if is_packed(first) else _chained(first, chunks)
    for piece in pieces:
        if skip >= len(piece):
            skip -= len(piece)
            continue
        yield piece[skip:] if skip else piece
        skip = 0
    if skip:
        raise ShorterError("it is shorter than what was read of it")


def _chained(first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from chunks


def _sliced(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield small chunks: of a large one what is left over is copied again and again."""
    for chunk in chunks:
        for at in range(0, len(chunk), _SLICE_BYTES):
            yield chunk[at : at + _SLICE_BYTES]


def _unpacked(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the text of all members of a .gz: appended ones are read as gzip reads them."""
    member = isal_zlib.decompressobj(_WITH_HEADER)
    begun = True
    for chunk in _sliced(chunks):
        rest = chunk
        while rest:
            if not begun:
                rest = rest.lstrip(b"\0")  # some writers pad
                if not rest:
                    break
                if not rest.startswith(_GZIP[: len(rest)]):
                    raise TextError("it is damaged: behind its end stands something else")
                member, begun = isal_zlib.decompressobj(_WITH_HEADER), True
            try:
                text = member.decompress(rest, _PIECE_BYTES)
            except isal_zlib.error:  # type: ignore[misc] # its annotations call the class an instance
                raise TextError("it is damaged: gzip cannot unpack it") from None
            if text:
                yield text
            if member.eof:
                rest, begun = member.unused_data, False
            else:
                rest = member.unconsumed_tail
    if begun:
        raise TextError("it ends too early: gzip misses its end")
