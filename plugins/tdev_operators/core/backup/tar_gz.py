"""A `.tar.gz` that is written member by member into a sink, never held: whoever fails in the middle leaves no end."""

import tarfile
import zlib
from collections.abc import Callable, Iterable
from datetime import datetime

from tdev_operators.core.errors import ProofFailedError

# Most of what is exported is compressed already: more effort than the least costs time and saves next to nothing.
_LEVEL = 1
_GZIP_WINDOW = 31  # zlib's number for "with gzip's header and checksum"
_BLOCK = tarfile.BLOCKSIZE
_LATEST_MTIME = 8**11 - 1


class TarGz:
    """Takes members of known size. Only `close` makes the archive whole: without it, every gzip calls it cut off."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        """`write` takes the compressed bytes, in order."""
        self._write = write
        self._gzip = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
        self.members = 0
        self.plain_bytes = 0
        self.written_bytes = 0

    def add(self, name: str, size_bytes: int, modified: datetime, chunks: Iterable[bytes]) -> None:
        """Append a file; `size_bytes` stands before the content, which must have it.

        Raises:
            ProofFailedError: the content has another size.
        """
        self._header(name, size_bytes, modified, tarfile.REGTYPE, 0o600)
        passed = 0
        for chunk in chunks:
            passed += len(chunk)
            if passed > size_bytes:
                break
            self._put(chunk)
        if passed != size_bytes:
            known = "more" if passed > size_bytes else str(passed)
            raise ProofFailedError(f"{name} has {known} bytes instead of {size_bytes}; the set is not what was stored.")
        self._put(bytes(-size_bytes % _BLOCK))
        self.members += 1
        self.plain_bytes += size_bytes

    def add_folder(self, name: str, modified: datetime) -> None:
        """Append an empty folder."""
        self._header(name, 0, modified, tarfile.DIRTYPE, 0o700)

    def close(self) -> None:
        """Write the end of the archive."""
        self._put(bytes(2 * _BLOCK))
        self._pass(self._gzip.flush())

    def _header(self, name: str, size_bytes: int, modified: datetime, kind: bytes, mode: int) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.type, member.mode = size_bytes, kind, mode
        member.mtime = min(max(0, int(modified.timestamp())), _LATEST_MTIME)
        self._put(member.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict"))

    def _put(self, chunk: bytes) -> None:
        self._pass(self._gzip.compress(chunk))

    def _pass(self, packed: bytes) -> None:
        if packed:
            self.written_bytes += len(packed)
            self._write(packed)
