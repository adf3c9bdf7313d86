"""One file for those who need one: a set as `backup-YYYYMMDD.tar.gz` (guide: Backup Procedures), streamed.

A tar names the size of a member before its content. Stored sizes are known from manifest and index, and so are the
plain ones of objects. Dump files stay compressed as they are stored: pg_restore reads them so, and nobody knows their
plain sizes. The size of what age has sealed follows from age's format, so that nothing is read twice but the indexes
and the few kilobytes of the globals. Everything is held against its SHA-256 while it passes.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from tdev_operators.core.backup.buckets.index import Entry
from tdev_operators.core.backup.buckets.packs import Shadows, member_name
from tdev_operators.core.backup.buckets.stored import Place
from tdev_operators.core.backup.cipher import Cipher
from tdev_operators.core.backup.export_reading import SetReader
from tdev_operators.core.backup.export_readme import readme
from tdev_operators.core.backup.manifest import MANIFEST, BucketSnapshot, DatabaseDump, Manifest, StoredFile, digest_of
from tdev_operators.core.backup.repository import Repository
from tdev_operators.core.backup.set_records import SetOnDisk
from tdev_operators.core.backup.tar_gz import TarGz
from tdev_operators.core.errors import InputError, ProofFailedError
from tdev_operators.core.reporting.wording import counted, span

_MANIFEST_MAX_BYTES = 64 * 1024 * 1024
# What is read together of objects in packs, each of which has 8 MiB at most.
_BATCH_BYTES = 4 * 1024 * 1024
_BATCH_OBJECTS = 500
_PACE_SECONDS = 5.0
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Exported:
    """What went into an archive. Of `unverified_objects` no checksum is known: only the size could be compared."""

    files: int
    plain_bytes: int
    archive_bytes: int
    odd_keys: int
    unverified_objects: int


def archive_name(manifest: Manifest) -> str:
    """Return the guide's name without `.tar.gz`, by the day of the recovery point in UTC; also the folder inside."""
    return f"backup-{manifest.recovery_point:%Y%m%d}"


def stored_dump_bytes(manifest: Manifest) -> int:
    """Return what the dumps take in the bucket, and so about what they take in an archive, in bytes."""
    return sum(file.size_bytes for dump in manifest.databases for file in dump.files)


def export_set(
    repository: Repository,
    found: SetOnDisk,
    cipher: Cipher,
    write: Callable[[bytes], None],
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Stream a complete set as a `.tar.gz` into `write`. Memory is bounded, and no disk is used.

    `cipher` opens what is sealed. When this raises, what was written has no end, and every gzip calls it cut off.

    Raises:
        InputError: the set is not complete, or a name in it cannot be one of a file.
        AccessDeniedError: it is encrypted and there is no fitting identity; or the store refuses us.
        ProofFailedError: something is missing, or is not what was stored; it is named.
        TransientError: the store cannot be read now.
    """
    if found.manifest is None:
        raise InputError(f"The set {found.set_id} is {found.state}: without a manifest there is nothing to export.")
    return _Export(repository, found, found.manifest, cipher, TarGz(write), progress).run()


class _Export:
    def __init__(
        self,
        repository: Repository,
        found: SetOnDisk,
        manifest: Manifest,
        cipher: Cipher,
        archive: TarGz,
        progress: Callable[[str], None],
    ) -> None:
        self._repository, self._found, self._manifest, self._archive = repository, found, manifest, archive
        self._folder = repository.folder(found.set_id)
        self._reader = SetReader(repository.store, Place(repository.bucket, repository.root), self._folder, cipher)
        self._top = archive_name(manifest)
        total = stored_dump_bytes(manifest) + sum(snapshot.bytes for snapshot in manifest.buckets)
        self._progress, self._pace = progress, _Pace(total, progress)
        self._odd_keys = self._unverified = 0

    def run(self) -> Exported:
        began = time.monotonic()
        self._survey()
        self._readme()
        self._own_manifest()
        self._plain("globals.sql", self._manifest.globals)
        for dump in self._manifest.databases:
            self._database(dump)
        for snapshot in self._manifest.buckets:
            self._bucket(snapshot)
        self._archive.close()
        archive = self._archive
        took = span(time.monotonic() - began)
        self._progress(
            f"Exported {self._found.set_id} in {took}: {counted(archive.members, 'file')}, "
            f"{archive.plain_bytes / _MB:,.1f} MB as {archive.written_bytes / _MB:,.1f} MB."
        )
        return Exported(archive.members, archive.plain_bytes, archive.written_bytes, self._odd_keys, self._unverified)

    def _survey(self) -> None:
        """Count what README.txt, which comes first, has to tell; a damaged index ends the export before it begins."""
        for snapshot in self._manifest.buckets:
            for entry, name in self._named(snapshot):
                self._odd_keys += name != entry.key
                self._unverified += not (entry.sha256 or entry.etag_is_md5)

    def _readme(self) -> None:
        def text() -> Iterator[bytes]:
            odd = self._odd() if self._odd_keys else ()
            return readme(self._manifest, self._found.state, odd, unverified_objects=self._unverified)

        self._add("README.txt", sum(map(len, text())), text())

    def _odd(self) -> Iterator[tuple[str, str]]:
        for snapshot in self._manifest.buckets:
            for entry, name in self._named(snapshot):
                if name != entry.key:
                    yield f"buckets/{snapshot.name}/{name}", entry.key

    def _own_manifest(self) -> None:
        store, bucket = self._repository.store, self._repository.bucket
        stored = store.read_whole(bucket, self._folder + MANIFEST, max_bytes=_MANIFEST_MAX_BYTES)
        if digest_of(stored) != self._found.manifest_sha256:
            raise ProofFailedError(f"The manifest of {self._found.set_id} changed while it was exported; do it again.")
        self._add(MANIFEST, len(stored), [stored])

    def _plain(self, name: str, file: StoredFile) -> None:
        size = sum(map(len, self._reader.plain(file)))
        self._add(name, size, self._reader.plain(file))

    def _database(self, dump: DatabaseDump) -> None:
        if dump.globals is not None:
            self._plain(f"globals-{dump.name}.sql", dump.globals)
        self._as_stored(f"database/{dump.name}.proof.json.zst", dump.proof)
        for file in dump.files:
            name = self._reader.bare(file.key)
            if not name.endswith(".tar"):
                self._as_stored(f"database/{dump.name}/{name}", file)
                continue
            for small, content in self._reader.small_files(file):
                self._add(f"database/{dump.name}/{small}", len(content), [content])

    def _as_stored(self, name: str, file: StoredFile) -> None:
        self._add(name, self._reader.opened_bytes(file), self._reader.opened(file))

    def _bucket(self, snapshot: BucketSnapshot) -> None:
        below = f"buckets/{snapshot.name}/"
        self._archive.add_folder(f"{self._top}/{below}", self._manifest.completed_at)
        batch: list[tuple[Entry, str]] = []
        waiting = 0
        for entry, name in self._named(snapshot):
            if not entry.packed:
                self._add(below + name, entry.size_bytes, self._reader.whole(entry), entry.modified)
                continue
            batch.append((entry, below + name))
            waiting += entry.length
            if waiting >= _BATCH_BYTES or len(batch) >= _BATCH_OBJECTS:
                self._packed(batch)
                batch, waiting = [], 0
        self._packed(batch)

    def _packed(self, batch: Iterable[tuple[Entry, str]]) -> None:
        for entry, name, chunks in self._reader.packed(batch):
            self._add(name, entry.size_bytes, chunks, entry.modified)

    def _add(self, name: str, size_bytes: int, chunks: Iterable[bytes], modified: datetime | None = None) -> None:
        if any(part in ("", ".", "..") for part in name.split("/")) or "\0" in name:
            raise InputError(f"{name!r} cannot be the name of a file in an archive; restore this set from the bucket.")
        modified = modified or self._manifest.completed_at
        self._archive.add(f"{self._top}/{name}", size_bytes, modified, self._pace.of(chunks))

    def _named(self, snapshot: BucketSnapshot) -> Iterator[tuple[Entry, str]]:
        """Yield the entries of a snapshot with the names that their keys have below the bucket's folder."""
        shadows = Shadows()
        for entry in self._reader.entries(snapshot.index):
            yield entry, member_name(entry.key, shadowed=shadows.over(entry.key))


class _Pace:
    """Counts what passes, and tells rate and estimate every few seconds."""

    def __init__(self, total_bytes: int, progress: Callable[[str], None]) -> None:
        self._total, self._progress = total_bytes, progress
        self._done = 0
        self._began = self._told = time.monotonic()

    def of(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._done += len(chunk)
            yield chunk
            self._tell()

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told < _PACE_SECONDS:
            return
        self._told = now
        rate = self._done / (now - self._began)
        left = span(max(self._total - self._done, 0) / rate) if rate else "an unknown time"
        done, total = self._done / _MB, self._total / _MB
        self._progress(f"Exported {done:,.0f} of about {total:,.0f} MB, {rate / _MB:,.1f} MB/s, {left} left.")
