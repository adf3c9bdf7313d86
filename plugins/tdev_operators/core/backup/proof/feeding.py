"""Feeding a program that reads files which are not there: each is a FIFO, filled when somebody opens it."""

import contextlib
import errno
import fcntl
import os
import select
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Self

_PIPE_BYTES = 1024 * 1024
_TICK_MILLISECONDS = 100
_PAUSE_SECONDS = 0.002
_JOIN_SECONDS = 5.0


class Feeder:
    """Makes the FIFOs and fills them, at most `workers` at once, until the block ends.

    When a source raises, its FIFO is kept open, so that nobody takes what came so far for the whole: end the reader,
    then leave the block. `failed` is set then, and `error` is what was raised.
    """

    def __init__(self, sources: Mapping[Path, Callable[[], Iterator[bytes]]], workers: int) -> None:
        """`sources` says which stream belongs into which FIFO; a stream begins when its FIFO's reader is there."""
        self._pending = dict(sources)
        self._workers = [
            Thread(target=self._work, name=f"tdev-feeder-{number}", daemon=True) for number in range(workers)
        ]
        self._lock = Lock()
        self._over = Event()
        self.failed = Event()
        self.error: BaseException | None = None
        self.fed_bytes = 0
        self.abandoned: list[str] = []
        self.began = self.ended = 0.0

    def __enter__(self) -> Self:
        for path in self._pending:
            os.mkfifo(path, 0o600)
        for worker in self._workers:
            worker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        for worker in self._workers:
            worker.join(_JOIN_SECONDS)

    @property
    def unread(self) -> list[str]:
        """The names of the FIFOs that nobody opened, or read to the end."""
        with self._lock:
            return [*self.abandoned, *(path.name for path in self._pending)]

    def _work(self) -> None:
        try:
            while not self._over.is_set():
                with self._lock:
                    if not self._pending:
                        return
                    begun = time.monotonic()
                    ready = self._next_with_a_reader()
                if ready:
                    self._fill(*ready)
                else:  # as long as the look took, at least: thousands of FIFOs must not eat a whole core
                    self._over.wait(max(_PAUSE_SECONDS, time.monotonic() - begun))
        except BaseException as error:  # noqa: BLE001 - it is raised again by whoever leads
            self._fail(error)

    def _next_with_a_reader(self) -> tuple[Path, int, Callable[[], Iterator[bytes]]] | None:
        for path, source in self._pending.items():
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                continue
            del self._pending[path]
            self.began = self.began or time.monotonic()
            return path, descriptor, source
        return None

    def _fill(self, path: Path, descriptor: int, source: Callable[[], Iterator[bytes]]) -> None:
        try:
            with contextlib.suppress(OSError):  # an unprivileged user's share of pipe memory may be spent
                fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            for chunk in source():
                self._pass_on(descriptor, chunk)
                if self._over.is_set():
                    return
        except BrokenPipeError:  # the reader went, and its exit status says why
            with self._lock:
                self.abandoned.append(path.name)
        except BaseException as error:  # noqa: BLE001 - it is raised again by whoever leads
            self._fail(error)
            self._over.wait()
        finally:
            os.close(descriptor)
            self.ended = time.monotonic()

    def _pass_on(self, descriptor: int, chunk: bytes) -> None:
        writable = select.poll()
        writable.register(descriptor, select.POLLOUT)
        rest = memoryview(chunk)
        while rest and not self._over.is_set():
            try:
                written = os.write(descriptor, rest)
            except BlockingIOError:
                writable.poll(_TICK_MILLISECONDS)
                continue
            rest = rest[written:]
            with self._lock:
                self.fed_bytes += written

    def _fail(self, error: BaseException) -> None:
        self.error = self.error or error
        self.failed.set()
