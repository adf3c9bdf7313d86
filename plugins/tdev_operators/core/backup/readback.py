"""READABLE: every byte that a set wrote comes back as it was written."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event, Lock
from typing import TypeVar

from tdev_operators.core.backup.buckets.read import verify_written
from tdev_operators.core.backup.cipher import Cipher
from tdev_operators.core.backup.manifest import Manifest, StoredFile
from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.backup.set_ids import folder_of
from tdev_operators.core.backup.set_records import files_of
from tdev_operators.core.backup.streams import Digest
from tdev_operators.core.errors import InputError, ProofFailedError
from tdev_operators.core.reporting.wording import counted, span

# Four streams fill the link of one machine, and hold four chunks in memory.
_PARALLEL = 4
_TICK_SECONDS = 1.0
_PACE_SECONDS = 5.0
_MB = 1_000_000

T = TypeVar("T")
Facts = dict[str, float | int | str]


def read_back(
    store: BackupStore,
    bucket: str,
    system: str,
    manifest: Manifest,
    cipher: Cipher,
    progress: Callable[[str], None],
    check: Callable[[], None],
) -> Facts:
    """Read everything that a set wrote and compare sizes and checksums; return the facts of an attestation.

    What the manifest names comes first, then the copies of large objects, which stand in the indexes only: where there
    are any, a sealed index needs the identity. `check` raises when the lease is lost; it is asked about once a second.

    Raises:
        ProofFailedError: an object is gone, or is not what was written; it is named.
        AccessDeniedError: a sealed index, and no fitting identity.
        TransientError: the store cannot be read now.
    """
    began = time.monotonic()
    files = sorted(files_of(manifest), key=lambda file: file.size_bytes, reverse=True)
    meter = _Meter(sum(file.size_bytes for file in files), progress)
    stop = Event()
    folder = folder_of(system, manifest.set_id)

    def read(file: StoredFile) -> None:
        _compare(store, bucket, folder, file, lambda size: _go_on(stop, meter, size))

    def tick() -> None:
        check()
        meter.tell()

    _all(files, read, stop, tick)
    facts: Facts = {"objects": len(files), "bytes": meter.done}
    for snapshot in (each for each in manifest.buckets if each.copies):
        found = verify_written(store, bucket, system, manifest.set_id, snapshot, cipher, progress=progress, check=check)
        for name, figure in found.items():
            facts[name] = int(facts.get(name, 0)) + figure
    facts["seconds"] = round(time.monotonic() - began, 3)
    progress(f"Read back {counted(len(files), 'object')} of {manifest.set_id}: all as they were written.")
    return facts


def _compare(store: BackupStore, bucket: str, folder: str, file: StoredFile, passed: Callable[[int], None]) -> None:
    key, digest = folder + file.key, Digest()
    try:
        for chunk in digest.of(store.read(bucket, key)):
            passed(len(chunk))
    except InputError as error:
        raise ProofFailedError(f"{key} cannot be read back: {error}") from None
    if digest.size_bytes != file.size_bytes:
        raise ProofFailedError(f"{key} has {digest.size_bytes} bytes; {file.size_bytes} were written.")
    if digest.sha256 != file.sha256:
        raise ProofFailedError(f"{key} holds other bytes than were written: its SHA-256 is {digest.sha256}.")


def _all(files: Iterable[T], read: Callable[[T], None], stop: Event, tick: Callable[[], object]) -> None:
    """Run `read` over the files, and `tick` while it runs. The first failure ends the others."""
    waiting = iter(files)
    running: set[Future[None]] = set()
    with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="tdev-readback") as pool:
        try:
            while True:
                while len(running) < _PARALLEL and (file := next(waiting, None)) is not None:
                    running.add(pool.submit(read, file))
                if not running:
                    return
                done, running = wait(running, _TICK_SECONDS, FIRST_COMPLETED)
                for finished in done:
                    finished.result()
                tick()
        finally:
            stop.set()


class _StoppedError(Exception):
    """Another file failed; nobody sees this one."""


def _go_on(stop: Event, meter: "_Meter", size: int) -> None:
    if stop.is_set():
        raise _StoppedError
    meter.add(size)


class _Meter:
    """Counts bytes of several threads, and tells rate and estimate every few seconds."""

    def __init__(self, total: int, progress: Callable[[str], None]) -> None:
        self.done = 0
        self._total = total
        self._progress = progress
        self._lock = Lock()
        self._began = self._told = time.monotonic()

    def add(self, size: int) -> None:
        with self._lock:
            self.done += size

    def tell(self) -> None:
        now = time.monotonic()
        if now - self._told < _PACE_SECONDS:
            return
        self._told = now
        rate = self.done / (now - self._began)
        left = span(max(self._total - self.done, 0) / rate) if rate else "an unknown time"
        self._progress(
            f"Read back {self.done / _MB:,.0f} of {self._total / _MB:,.0f} MB, {rate / _MB:,.0f} MB/s, {left} left."
        )
