"""Reading a set's files back: what comes out has the digest that the manifest states, or an error names the object."""

import io
import re
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

from tdev_operators.core.backup import streams
from tdev_operators.core.backup.cipher import Cipher
from tdev_operators.core.backup.manifest import StoredFile
from tdev_operators.core.backup.streams import Digest, decompressed
from tdev_operators.core.errors import AccessDeniedError, GarbledAnswerError, InputError, ProofFailedError, TdevError

_MEMBER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_CHUNK_BYTES = 1024 * 1024


class Readable(Protocol):
    """The part of `ports.BackupStore` that reading needs."""

    def read(self, bucket: str, key: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """See `ports.BackupStore.read`."""


class SetFiles:
    """The files of one set, opened and checked while they stream. `folder` is `<system>/<set id>/`. Thread-safe."""

    def __init__(self, store: Readable, bucket: str, folder: str, cipher: Cipher) -> None:
        self._store, self._bucket, self._folder, self._cipher = store, bucket, folder, cipher

    def plain(self, file: StoredFile) -> Iterator[bytes]:
        """Yield a file's plain content: decrypted and decompressed as its key says.

        The last chunk is not the end: only a generator that ends has compared the digest.

        Raises:
            ProofFailedError: the object is missing, or is not what was stored.
            AccessDeniedError: there is no fitting identity.
        """
        digest = Digest()
        refused: list[TdevError] = []
        stored = digest.of(self._stored(file, refused))
        try:
            yield from self._opened(file.key, stored)
        except (GarbledAnswerError, AccessDeniedError):
            if refused:  # by the store, in the middle: that is no damage
                raise
            for _ in stored:  # to the end, to tell damage from a wrong key
                pass
            self._compare(file, digest)
            raise
        for _ in stored:
            pass
        self._compare(file, digest)

    def name_of(self, file: StoredFile) -> str:
        """Return the bare name that the plain content has: `toc.dat`, `3142.dat`, `small-1.tar`."""
        return self._bare(file.key.rpartition("/")[2])

    def whole(self, file: StoredFile, *, max_bytes: int) -> bytes:
        """Return a small file's plain content; a larger one is an InputError."""
        content = bytearray()
        for chunk in self.plain(file):
            content += chunk
            if len(content) > max_bytes:
                raise InputError(f"The object {self._folder}{file.key} has more than {max_bytes} bytes; it is no such.")
        return bytes(content)

    def save(self, file: StoredFile, folder: Path) -> int:
        """Write a file's plain content below its bare name; return its bytes."""
        return _written(self.plain(file), folder / self.name_of(file))

    def extract(self, file: StoredFile, folder: Path) -> tuple[int, int]:
        """Write the members of a tar of small files, each opened as its name says; return how many, and their bytes."""
        chunks = self.plain(file)
        count = size = 0
        try:
            with tarfile.open(fileobj=io.BufferedReader(_Stream(chunks), _CHUNK_BYTES), mode="r|") as tar:
                for member in tar:
                    name = self._bare(member.name)
                    content = tar.extractfile(member) if member.isfile() else None
                    if content is None or not _MEMBER.fullmatch(name):
                        raise self._damaged(file, f"its member {member.name!r} is no file of a dump")
                    pieces = iter(partial(content.read, _CHUNK_BYTES), b"")
                    size += _written(self._opened(member.name, pieces), folder / name)
                    count += 1
        except (tarfile.TarError, GarbledAnswerError, AccessDeniedError) as error:
            for _ in chunks:  # a digest that does not hold says more
                pass
            if isinstance(error, tarfile.TarError):
                raise self._damaged(file, f"it is no whole tar ({error})") from None
            raise
        for _ in chunks:
            pass
        return count, size

    def _bare(self, name: str) -> str:
        suffix = self._cipher.suffix
        return (name.removesuffix(suffix) if suffix else name).removesuffix(streams.SUFFIX)

    def _opened(self, name: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        suffix = self._cipher.suffix
        if suffix and name.endswith(suffix):
            chunks, name = self._cipher.open(chunks), name.removesuffix(suffix)
        return decompressed(chunks) if name.endswith(streams.SUFFIX) else chunks

    def _stored(self, file: StoredFile, refused: list[TdevError]) -> Iterator[bytes]:
        try:
            yield from self._store.read(self._bucket, self._folder + file.key)
        except InputError as error:
            raise self._damaged(file, str(error)) from None
        except TdevError as error:
            refused.append(error)
            raise

    def _compare(self, file: StoredFile, digest: Digest) -> None:
        if digest.size_bytes != file.size_bytes:
            raise self._damaged(file, f"it has {digest.size_bytes} bytes, not {file.size_bytes}")
        if digest.sha256 != file.sha256:
            raise self._damaged(file, "its SHA-256 is not the one of the manifest")

    def _damaged(self, file: StoredFile, why: str) -> ProofFailedError:
        return ProofFailedError(
            f"The object {self._folder}{file.key} in the bucket {self._bucket} is not what was stored: {why}."
        )


class _Stream(io.RawIOBase):
    """An iterator of chunks as a file to read from."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed's Buffer has no length
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def _written(chunks: Iterator[bytes], path: Path) -> int:
    with path.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)
        return file.tell()
