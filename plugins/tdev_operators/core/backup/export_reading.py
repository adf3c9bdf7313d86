"""What an export reads from a set: opened, never decompressed where that can be left out, checked while it passes."""

import io
import tarfile
from collections.abc import Callable, Iterable, Iterator

from tdev_operators.core.backup import cipher as ciphers
from tdev_operators.core.backup.buckets.index import Entry, entries_of
from tdev_operators.core.backup.buckets.stored import Place, Sums, spans, wrong_with
from tdev_operators.core.backup.cipher import Cipher
from tdev_operators.core.backup.manifest import StoredFile
from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.backup.streams import Digest, decompressed
from tdev_operators.core.errors import AccessDeniedError, GarbledAnswerError, InputError, ProofFailedError, TdevError

_MIB = 1024 * 1024
# No setting makes a packed file larger than 8 MiB, and age adds next to nothing.
_LARGEST_SMALL_BYTES = 16 * _MIB
# A header of age has about 200 bytes a recipient.
_HEADER_BYTES = 64 * 1024
_AGE_NONCE_BYTES, _AGE_CHUNK_BYTES, _AGE_TAG_BYTES = 16, 64 * 1024, 16
_AGE_MAC_LINE = b"\n--- "


class SetReader:
    """The files and objects of one set. `folder` is the set's, with its slash.

    Its streams raise ProofFailedError when what is stored is missing or changed, and AccessDeniedError when there is no
    fitting identity. Only a stream that ended is proven: it has compared the SHA-256.
    """

    def __init__(self, store: BackupStore, place: Place, folder: str, cipher: Cipher) -> None:
        self._store, self._place, self._folder, self._cipher = store, place, folder, cipher

    def bare(self, key: str) -> str:
        """Return the name of a file without folders and without `.age`."""
        return key.rpartition("/")[2].removesuffix(ciphers.SUFFIX)

    def opened(self, file: StoredFile) -> Iterator[bytes]:
        """Yield a file as it was before it was sealed; still compressed."""
        digest = Digest()

        def wrong() -> str:
            if digest.size_bytes != file.size_bytes:
                return f"has {digest.size_bytes} bytes instead of {file.size_bytes}"
            return "" if digest.sha256 == file.sha256 else "is not what was stored: its SHA-256 is another one"

        chunks = self._store.read(self._place.bucket, self._folder + file.key)
        return self._verified(self._name(file), digest.of(_watched(chunks)), wrong, sealed=self._is_sealed(file.key))

    def opened_bytes(self, file: StoredFile) -> int:
        """Return the size of what `opened` yields, by the head of the file when that is sealed."""
        if not self._is_sealed(file.key):
            return file.size_bytes
        length = min(_HEADER_BYTES, file.size_bytes)
        try:
            head = b"".join(self._store.read(self._place.bucket, self._folder + file.key, length=length))
        except InputError as error:
            raise ProofFailedError(f"{self._name(file)} cannot be read: {error}") from None
        size = age_plain_bytes(head, file.size_bytes)
        if size is None:
            raise ProofFailedError(f"{self._name(file)} is no file of age; it is not what was stored.")
        return size

    def plain(self, file: StoredFile) -> Iterator[bytes]:
        """Yield a file opened and decompressed."""
        try:
            yield from decompressed(self.opened(file))
        except GarbledAnswerError as error:
            raise ProofFailedError(f"{self._name(file)} is damaged: {error}") from None

    def small_files(self, file: StoredFile) -> Iterator[tuple[str, bytes]]:
        """Yield the bare names and the opened contents of a tar of small files, one at a time."""
        chunks = self.opened(file)
        try:
            with tarfile.open(fileobj=io.BufferedReader(_File(chunks), _MIB), mode="r|") as tar:
                while (member := tar.next()) is not None:
                    content = tar.extractfile(member) if member.isfile() else None
                    if content is None or "/" in member.name or member.size > _LARGEST_SMALL_BYTES:
                        raise ProofFailedError(f"{self._name(file)} has a member {member.name!r} that is none of ours.")
                    body = content.read()
                    if self._is_sealed(member.name):
                        body = b"".join(self._cipher.open([body]))
                    yield self.bare(member.name), body
                    tar.members = []  # type: ignore[attr-defined]  # else it remembers every one, which may be very many
        except tarfile.TarError as error:
            for _ in chunks:  # a digest that does not hold says more
                pass
            raise ProofFailedError(f"{self._name(file)} is no whole tar ({error}).") from None
        except AccessDeniedError:
            for _ in chunks:
                pass
            raise
        for _ in chunks:
            pass

    def entries(self, index: StoredFile) -> Iterator[Entry]:
        """Yield the entries of a bucket's index, in key order."""
        try:
            yield from entries_of(self.plain(index))
        except GarbledAnswerError as error:
            raise ProofFailedError(f"{self._name(index)}: {error}") from None

    def whole(self, entry: Entry) -> Iterator[bytes]:
        """Yield an object that is stored as one of its own."""
        chunks = self._store.read(self._place.bucket, self._place.key_of(entry)) if entry.length else iter(())
        return self._object(entry, chunks)

    def packed(self, batch: Iterable[tuple[Entry, str]]) -> Iterator[tuple[Entry, str, Iterator[bytes]]]:
        """Yield a batch of objects that are stored in packs, pack by pack, with the names that came with them."""
        for span in spans(batch):
            try:
                members = list(span.read(self._store, self._place))
            except (InputError, GarbledAnswerError) as error:
                key = span.first.key
                raise ProofFailedError(f"The object {key!r} cannot be read from its pack: {error}") from None
            for entry, name, body in members:
                yield entry, name, self._object(entry, iter((body,)))

    def _object(self, entry: Entry, chunks: Iterator[bytes]) -> Iterator[bytes]:
        sums = Sums()
        what = f"The stored object {entry.key!r} of the set {entry.set_id}"

        def wrong() -> str:
            said = wrong_with(entry, sums)
            return f"is damaged: its bytes {said}" if said else ""

        sealed = bool(self._cipher.suffix) and entry.length > 0
        return self._verified(what, sums.of(_watched(chunks)), wrong, sealed=sealed)

    def _verified(
        self, what: str, chunks: Iterator[bytes], wrong: Callable[[], str], *, sealed: bool
    ) -> Iterator[bytes]:
        try:
            yield from self._cipher.open(chunks) if sealed else chunks
        except _StoreError as failed:
            if isinstance(failed.error, InputError):
                raise ProofFailedError(f"{what} cannot be read: {failed.error}") from None
            raise failed.error from None
        except AccessDeniedError:
            for _ in chunks:  # to the end, to tell damage from a wrong key
                pass
            if said := wrong():
                raise ProofFailedError(f"{what} {said}.") from None
            raise
        for _ in chunks:
            pass
        if said := wrong():
            raise ProofFailedError(f"{what} {said}.")

    def _is_sealed(self, name: str) -> bool:
        return bool(self._cipher.suffix) and name.endswith(self._cipher.suffix)

    def _name(self, file: StoredFile) -> str:
        return f"The object {self._folder}{file.key} in the bucket {self._place.bucket}"


def age_plain_bytes(head: bytes, stored_bytes: int) -> int | None:
    """Return how many bytes an age file opens to, by its head (all of its header); None when that is no age file.

    Behind the header and a nonce, age stores 64 KiB at a time, each with a tag.
    """
    mac = head.find(_AGE_MAC_LINE)
    end = head.find(b"\n", mac + len(_AGE_MAC_LINE))
    if not head.startswith(b"age-encryption.org/v1\n") or mac < 0 or end < 0:
        return None
    payload = stored_bytes - (end + 1) - _AGE_NONCE_BYTES
    chunks = -(-payload // (_AGE_CHUNK_BYTES + _AGE_TAG_BYTES))
    return payload - chunks * _AGE_TAG_BYTES if payload >= _AGE_TAG_BYTES else None


class _StoreError(Exception):
    """The store's own error on its way past the cipher: denied by a store is not denied by a key."""

    def __init__(self, error: TdevError) -> None:
        super().__init__()
        self.error = error


def _watched(chunks: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from chunks
    except TdevError as error:
        raise _StoreError(error) from None


class _File(io.RawIOBase):
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
