"""Stock `pg_dump`, in directory format and in parallel, streamed into the object store while it runs.

The folder that it fills is emptied as it grows (see `directory`), compressed by threads (zstandard lets go of the
interpreter's lock), encrypted and uploaded. Nothing is visible in the store before `pg_dump` ended well, its complaints
were read and every expected table was found; else everything is aborted.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from threading import Event, Lock, Thread

import zstandard

from tdev_operators.core.backup.cipher import Cipher
from tdev_operators.core.backup.database.complaints import OUTPUT_LIMIT_BYTES, failure
from tdev_operators.core.backup.database.contents import Contents
from tdev_operators.core.backup.database.directory import MIB, TOC, CancelledError, DumpDirectory, DumpFile, spool
from tdev_operators.core.backup.database.tools import tool, version_of
from tdev_operators.core.backup.database.uploads import DumpUploads
from tdev_operators.core.backup.manifest import StoredFile
from tdev_operators.core.backup.ports import BackupStore, SourceDatabase
from tdev_operators.core.backup.settings import BackupSettings
from tdev_operators.core.backup.streams import SUFFIX, compressed, compressor
from tdev_operators.core.commands import Running, running
from tdev_operators.core.errors import GarbledAnswerError, TargetTimeoutError, TransientError

# A server may read dead rows for long before the first live one comes.
STALL_SECONDS = 1800.0

_TICK_SECONDS = 0.05
_CHECK_SECONDS = 1.0
_PROGRESS_SECONDS = 5.0
_SCAN_SECONDS = 0.02
# A scan must come before so fast a writer has filled a quarter of the spool.
_FASTEST_BYTES_PER_SECOND = 1000 * MIB
_JOIN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class DumpResult:
    """A dump that stands in the store: `raw_bytes` is what `pg_dump` wrote, `peak_spool_bytes` the disk it took."""

    files: tuple[StoredFile, ...]
    raw_bytes: int
    stored_bytes: int
    tool: str
    seconds: float
    peak_spool_bytes: int


def dump_database(
    source: SourceDatabase,
    snapshot_id: str,
    store: BackupStore,
    bucket: str,
    prefix: str,
    dbname: str,
    settings: BackupSettings,
    cipher: Cipher,
    *,
    major: int,
    expected_tables: Iterable[tuple[str, str]],
    check: Callable[[], None],
    progress: Callable[[str], None],
    encoding: str = "UTF8",
    estimated_bytes: int = 0,
    stall_seconds: float = STALL_SECONDS,
) -> DumpResult:
    """Dump one database under an exported snapshot to `<prefix>database/<dbname>/`.

    `prefix` is the set's folder with its slash; the keys of the result are relative to it. `check` is called about
    every second and ends the dump at once by raising. `encoding` is the database's; `estimated_bytes` lets progress
    lines tell what is left.

    Raises:
        SetupMissingError: no client programs of the server's major version.
        BusyError: a lock was not to be had in time.
        AccessDeniedError: a privilege is missing; names the object.
        TransientError: connection lost, `pg_dump` killed, disk full, nothing moved for `stall_seconds`, store away.
        ProofFailedError: `pg_dump` ended well without the data of an expected table.
    """
    began = time.monotonic()
    pg_dump = tool("pg_dump", major, settings.client_tools)
    pg_restore = tool("pg_restore", major, settings.client_tools)
    with ExitStack() as stack:
        uploads = stack.enter_context(
            DumpUploads(
                store,
                bucket,
                prefix,
                f"database/{dbname}/",
                cipher,
                small_bytes=settings.small_object_kb * 1024,
                pack_bytes=settings.pack_mb * MIB,
            )
        )
        folder = stack.enter_context(spool()) / "dump"
        variables = stack.enter_context(source.environment())
        work = _Work(
            DumpDirectory(folder), uploads, settings, dbname, check, _Progress(progress, dbname, estimated_bytes)
        )
        argv = _argv(pg_dump, folder, snapshot_id, settings)
        work.run(argv, variables, stall_seconds)
        toc = folder / TOC
        if not toc.is_file():
            raise GarbledAnswerError(f"pg_dump of {dbname} ended well and left no table of contents; dump again.")
        work.refuse_gaps(Contents(pg_restore, folder, encoding), expected_tables)
        raw_bytes = work.raw_bytes + toc.stat().st_size
        uploads.add_alone(TOC, _file_chunks(toc))
        files = uploads.complete(check)
    return DumpResult(
        files=files,
        raw_bytes=raw_bytes,
        stored_bytes=sum(file.size_bytes for file in files),
        tool=f"pg_dump {version_of(pg_dump)}",
        seconds=time.monotonic() - began,
        peak_spool_bytes=work.directory.peak_bytes,
    )


def _argv(pg_dump: Path, folder: Path, snapshot_id: str, settings: BackupSettings) -> list[str]:
    return [
        str(pg_dump),
        "--format=directory",
        f"--file={folder}",
        f"--jobs={settings.parallel_jobs}",
        "--compress=0",
        f"--snapshot={snapshot_id}",
        f"--lock-wait-timeout={int(settings.lock_wait_seconds * 1000)}",
        "--no-password",
        "--no-sync",  # the files are gone before a disk could have them
    ]


class _Work:
    """One run: the process, a thread that scans and brakes, and as many readers as `pg_dump` has workers."""

    def __init__(
        self,
        directory: DumpDirectory,
        uploads: DumpUploads,
        settings: BackupSettings,
        dbname: str,
        check: Callable[[], None],
        progress: "_Progress",
    ) -> None:
        self.directory = directory
        self.raw_bytes = 0
        self._listed_objects = 0
        self._uploads, self._dbname, self._check, self._progress = uploads, dbname, check, progress
        self._level = settings.compression_level
        self._limit = settings.spool_mb * MIB * settings.parallel_jobs
        self._cancelled, self._over = Event(), Event()
        self._lock = Lock()
        self._error: BaseException | None = None
        self._checked = 0.0
        self._readers = [
            Thread(target=self._guarded, args=(self._read,), name=f"tdev-dump-{number}", daemon=True)
            for number in range(settings.parallel_jobs)
        ]

    def run(self, argv: list[str], env: Mapping[str, str], stall_seconds: float) -> None:
        """Dump to the end, everything read and handed to the uploads."""
        try:
            with running(argv, env=env, output_limit_bytes=OUTPUT_LIMIT_BYTES) as process:
                watcher = Thread(
                    target=self._guarded, args=(lambda: self._watch(process),), name="tdev-scan", daemon=True
                )
                for thread in (watcher, *self._readers):
                    thread.start()
                self._until(lambda: process.poll() is not None, stall_seconds)
                self._over.set()
                watcher.join()
                secrets = [env[name] for name in ("PGPASSWORD",) if name in env]
                if error := failure("pg_dump", self._dbname, process.poll() or 0, process.stderr, secrets):
                    raise error
            self.directory.scan(None)
            self._dismiss_readers()
            self._until(lambda: not any(reader.is_alive() for reader in self._readers), stall_seconds)
        finally:
            self._cancelled.set()
            self._over.set()
            self._dismiss_readers()
            for reader in self._readers:
                if reader.ident is not None:
                    reader.join(_JOIN_SECONDS)

    def refuse_gaps(self, contents: Contents, expected: Iterable[tuple[str, str]]) -> None:
        """See `Contents.refuse_gaps`; large objects are counted too."""
        contents.refuse_gaps(expected, self.directory.names)
        if self._listed_objects != self.directory.large_objects:
            raise GarbledAnswerError(
                f"pg_dump of {self._dbname} listed {self._listed_objects} large objects and wrote "
                f"{self.directory.large_objects}; dump again."
            )

    def _until(self, condition: Callable[[], bool], stall_seconds: float) -> None:
        moved, moved_at = -1, time.monotonic()
        while not condition():
            now = time.monotonic()
            self._raise_error()
            if now - self._checked >= _CHECK_SECONDS:
                self._check()
                self._checked = now
                self._progress.tell(self.raw_bytes, self._uploads.stored_bytes)
            if (reached := self.raw_bytes) != moved:
                moved, moved_at = reached, now
            elif now - moved_at > stall_seconds:
                raise TargetTimeoutError(
                    f"The dump of {self._dbname} did not move for {stall_seconds:g} s and was ended; see what the "
                    "server and the object store wait for."
                )
            self._cancelled.wait(_TICK_SECONDS)
        self._raise_error()

    def _dismiss_readers(self) -> None:
        for _ in self._readers:
            self.directory.waiting.put(None)

    def _raise_error(self) -> None:
        if self._error is None:
            return
        if isinstance(self._error, OSError):
            raise TransientError(
                f"The dump of {self._dbname} cannot read its spool ({self._error.strerror}); see the disk of TMPDIR."
            ) from self._error
        raise self._error

    def _guarded(self, body: Callable[[], None]) -> None:
        try:
            body()
        except CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread
            self._error = self._error or error
            self._cancelled.set()

    def _watch(self, process: Running) -> None:
        paused = False
        pause = min(_SCAN_SECONDS, self._limit / 4 / _FASTEST_BYTES_PER_SECOND)
        while not self._over.wait(max(pause, 5 * self.directory.scan_seconds)):
            self.directory.scan(process.pid)
            if not paused and self.directory.backlog_bytes > self._limit // 4:
                process.pause()
                paused = True
            elif paused and self.directory.backlog_bytes < self._limit // 8:
                process.resume()
                paused = False

    def _read(self) -> None:
        whole = compressor(self._level)
        while (file := self.directory.waiting.get()) is not None and not self._cancelled.is_set():
            self._uploads.add(f"{file.name}{SUFFIX}", self._frame(file, whole))

    def _frame(self, file: DumpFile, whole: zstandard.ZstdCompressor) -> Iterator[bytes]:
        chunks = self._counted(file)
        first = next(chunks, b"")
        if file.whole:  # one call for the many small ones
            yield whole.compress(first)
            for _ in chunks:  # its end removes it
                pass
        else:
            yield from compressed(chain((first,), chunks), self._level)

    def _counted(self, file: DumpFile) -> Iterator[bytes]:
        listing = file.name.startswith("blobs")
        for chunk in file.chunks(self._cancelled):
            with self._lock:
                self.raw_bytes += len(chunk)
                self._listed_objects += chunk.count(b"\n") if listing else 0
            yield chunk


class _Progress:
    def __init__(self, tell: Callable[[str], None], dbname: str, estimated_bytes: int) -> None:
        self._tell, self._dbname, self._estimated = tell, dbname, estimated_bytes
        self._began = self._told = time.monotonic()

    def tell(self, raw: int, stored: int) -> None:
        now = time.monotonic()
        if now - self._told < _PROGRESS_SECONDS:
            return
        self._told = now
        rate = raw / (now - self._began)
        left = f", about {(self._estimated - raw) / rate:.0f} s left" if 0 < raw < self._estimated else ""
        self._tell(
            f"{self._dbname}: {raw / MIB:.0f} MiB dumped, {stored / MIB:.0f} MiB stored, {rate / MIB:.0f} MiB/s{left}"
        )


def _file_chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(MIB):
            yield chunk
