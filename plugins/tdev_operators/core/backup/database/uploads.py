"""The objects of one dump: nothing is visible before `complete`, and everything is aborted without it."""

import contextlib
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import chain
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from types import TracebackType
from typing import Self

from tdev_operators.core.backup.cipher import Cipher
from tdev_operators.core.backup.manifest import StoredFile
from tdev_operators.core.backup.ports import BackupStore, Upload
from tdev_operators.core.backup.streams import Digest
from tdev_operators.core.errors import TdevError

_THREADS = 8
# What cannot be aborted in this time, because the store hangs, is found and aborted by the next back-up.
_ABORT_SECONDS = 60.0
_CHECK_SECONDS = 1.0
_END_OF_TAR = bytes(2 * tarfile.BLOCKSIZE)


@dataclass(slots=True)
class _Open:
    key: str
    manager: AbstractContextManager[Upload]
    upload: Upload
    digest: Digest = field(default_factory=Digest)

    def write(self, chunk: bytes) -> None:
        self.digest.add(chunk)
        self.upload.write(chunk)


class DumpUploads:
    """Where a dump's files go: large ones each into an object, small ones into tars `small-<n>.tar`. Thread-safe.

    `folder` is the set's folder with its slash, `below` what the keys begin with inside it. Leaving the block
    without `complete()` aborts everything in bounded time.
    """

    def __init__(
        self,
        store: BackupStore,
        bucket: str,
        folder: str,
        below: str,
        cipher: Cipher,
        *,
        small_bytes: int,
        pack_bytes: int,
    ) -> None:
        self._store, self._bucket, self._folder, self._below = store, bucket, folder, below
        self._cipher = cipher
        self._small_bytes, self._pack_bytes = small_bytes, pack_bytes
        self._all: list[_Open] = []
        self._completed = False
        self._lock = Lock()
        self._pack_lock = Lock()
        self._pack: _Open | None = None
        self._packs = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._completed:
            self._abort()

    @property
    def stored_bytes(self) -> int:
        """What was written so far."""
        with self._lock:
            return sum(opened.digest.size_bytes for opened in self._all)

    def add(self, name: str, chunks: Iterable[bytes]) -> None:
        """Store a stream under a name: as an object of its own, or as a member of a tar when it ends soon."""
        sealed = self._cipher.seal(chunks)
        name += self._cipher.suffix
        head = bytearray()
        for chunk in sealed:
            head += chunk
            if len(head) > self._small_bytes:
                self._alone(name, chain((bytes(head),), sealed))
                return
        self._packed(name, bytes(head))

    def add_alone(self, name: str, chunks: Iterable[bytes]) -> None:
        """Store a stream as an object of its own, however small it is."""
        self._alone(name + self._cipher.suffix, self._cipher.seal(chunks))

    def complete(self, check: Callable[[], None]) -> tuple[StoredFile, ...]:
        """Make everything visible, and return it in the order of keys. `check` is called every second."""
        with self._pack_lock:
            self._close_pack()
        try:
            with ThreadPoolExecutor(_THREADS, thread_name_prefix="tdev-complete") as pool:
                try:
                    futures = [pool.submit(opened.upload.complete) for opened in self._all]
                    pending = set(futures)
                    while pending:
                        done, pending = wait(pending, timeout=_CHECK_SECONDS, return_when=FIRST_EXCEPTION)
                        for future in done:
                            future.result()
                        check()
                except BaseException:
                    pool.shutdown(wait=True, cancel_futures=True)
                    raise
        except BaseException:
            self._remove_completed()
            raise
        self._completed = True
        for opened in self._all:
            opened.manager.__exit__(None, None, None)
        return tuple(
            StoredFile(key=opened.key, size_bytes=opened.digest.size_bytes, sha256=opened.digest.sha256)
            for opened in sorted(self._all, key=lambda opened: opened.key)
        )

    def _alone(self, name: str, chunks: Iterator[bytes]) -> None:
        opened = self._begin(name)
        for chunk in chunks:
            opened.write(chunk)
        opened.upload.end()

    def _packed(self, name: str, content: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = len(content), 0o600, int(time.time())
        with self._pack_lock:
            if self._pack is None:
                self._pack = self._begin(f"small-{self._packs}.tar")
                self._packs += 1
            padding = bytes(-len(content) % tarfile.BLOCKSIZE)
            self._pack.write(b"".join((member.tobuf(tarfile.PAX_FORMAT), content, padding)))
            if self._pack.digest.size_bytes >= self._pack_bytes:
                self._close_pack()

    def _close_pack(self) -> None:
        if self._pack is not None:
            self._pack.write(_END_OF_TAR)
            self._pack.upload.end()
            self._pack = None

    def _begin(self, name: str) -> _Open:
        key = f"{self._below}{name}"
        manager = self._store.upload(self._bucket, f"{self._folder}{key}")
        opened = _Open(key, manager, manager.__enter__())
        with self._lock:
            self._all.append(opened)
        return opened

    def _remove_completed(self) -> None:
        with contextlib.suppress(TdevError):
            self._store.delete(self._bucket, [f"{self._folder}{opened.key}" for opened in self._all])

    def _abort(self) -> None:
        left: SimpleQueue[_Open] = SimpleQueue()
        with self._lock:
            for opened in self._all:
                left.put(opened)
            number = min(_THREADS, len(self._all))

        def work() -> None:
            with contextlib.suppress(Empty):
                while True:
                    opened = left.get_nowait()
                    with contextlib.suppress(Exception):
                        opened.manager.__exit__(None, None, None)

        deadline = time.monotonic() + _ABORT_SECONDS
        threads = [Thread(target=work, name="tdev-abort", daemon=True) for _ in range(number)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
