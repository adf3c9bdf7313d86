"""Streams of bytes on their way into a set and out of it: compressed, counted, digested, never held."""

import hashlib
from collections.abc import Iterable, Iterator

import zstandard

from tdev_operators.core.errors import GarbledAnswerError

SUFFIX = ".zst"


# Rows of text repeat themselves near by: a small window, long matches and a table that fits into the cache take a sixth
# less time than the level as it comes, and store no more.
_LEVEL_1 = {"window_log": 17, "hash_log": 13, "min_match": 6}


def compressor(level: int) -> zstandard.ZstdCompressor:
    """Return a compressor whose frames end with a checksum of the plain content."""
    tuned = _LEVEL_1 if level == 1 else {}
    parameters = zstandard.ZstdCompressionParameters.from_level(level, write_checksum=True, **tuned)
    return zstandard.ZstdCompressor(compression_params=parameters)


def compressed(chunks: Iterable[bytes], level: int) -> Iterator[bytes]:
    """Yield one zstd frame of the stream; it ends with a checksum of the plain content."""
    worker = compressor(level).compressobj()
    for chunk in chunks:
        if out := worker.compress(chunk):
            yield out
    yield worker.flush()


def decompressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the plain content of one or several zstd frames.

    Raises:
        GarbledAnswerError: it is no zstd, it is damaged, or it ends in the middle.
    """
    worker = None
    try:
        for chunk in chunks:
            rest = chunk
            while rest:
                worker = worker or zstandard.ZstdDecompressor().decompressobj()
                if out := worker.decompress(rest):
                    yield out
                rest = worker.unused_data if worker.eof else b""
                worker = None if worker.eof else worker
    except zstandard.ZstdError as error:
        raise GarbledAnswerError(f"What was stored is no whole zstd stream ({error}); it is damaged.") from None
    if worker is not None:
        raise GarbledAnswerError("What was stored ends in the middle of its zstd stream; it is cut off.")


class Digest:
    """Counts and digests what passes: `of(chunks)` yields the same chunks; then `size_bytes` and `sha256` hold."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self.size_bytes = 0

    def add(self, chunk: bytes) -> None:
        """Take one chunk."""
        self._sha256.update(chunk)
        self.size_bytes += len(chunk)

    def of(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the chunks unchanged."""
        for chunk in chunks:
            self.add(chunk)
            yield chunk

    @property
    def sha256(self) -> str:
        """SHA-256 of what passed so far, in hex."""
        return self._sha256.hexdigest()
