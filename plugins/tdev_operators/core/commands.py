"""Commands on this machine: `run` for one that answers soon, `streaming` for much output, `running` for one beside us.

None outlives us, by kill -9 neither; `core.processes` says how.
"""

import fcntl
import os
import selectors
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import IO

from tdev_operators.core.errors import CommandFailedError, TargetTimeoutError
from tdev_operators.core.ports import CommandOutput
from tdev_operators.core.processes import Child, ProcessGroup, ended, environment_with

MIB = 1024 * 1024

_CHUNK_BYTES = 64 * 1024
_STREAM_BYTES = 256 * 1024
# A daemon that left the group may hold the streams open for ever; what the command itself printed is read by then.
_LEFTOVER_GRACE_SECONDS = 1.0
_TICK_SECONDS = 0.1
_JOIN_SECONDS = 2.0
_COMPLAINT = 200


def run(
    argv: Sequence[str],
    *,
    timeout_seconds: float,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    output_limit_bytes: int = MIB,
    install_hint: str = "",
) -> CommandOutput:
    """Run one command to its end and return its exit status (negative: the signal that killed it) and both streams.

    No shell is involved. Secrets go into `env`, never into `argv`; of our own environment the child inherits only
    PATH, HOME and the like, and messages and numbers come in the C locale. Each stream is kept up to
    `output_limit_bytes`; the rest is read and dropped, and `truncated` says so. When the command has ended,
    whatever it left running in its process group is killed. `install_hint` completes the sentence about a missing
    executable, for example "apt-get install postgresql-client-18".

    Raises:
        InputError: there is no such executable.
        TargetTimeoutError: the time limit passed; the whole process group was killed.
        CommandFailedError: the operating system could not start it, or cannot end it.
    """
    deadline = time.monotonic() + timeout_seconds
    with ProcessGroup() as group:
        child = group.start(argv, environment_with(env or {}), install_hint)
        out, err = Kept(output_limit_bytes), Kept(output_limit_bytes)
        read = _exchange(group, child, stdin, (out, err), deadline)
        if not read or not ended(child, deadline - time.monotonic()):
            group.terminate(child)
            raise TargetTimeoutError(
                f"The command {argv[0]} did not end within {timeout_seconds:g} s and was killed; "
                "see what it waits for, or give it more time."
            )
    return CommandOutput(child.returncode, out.text(), err.text(), truncated=out.cut or err.cut)


@contextmanager
def running(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    user: str = "",
    stdin: Iterable[bytes] | None = None,
    on_stdout: Callable[[bytes], None] | None = None,
    install_hint: str = "",
    output_limit_bytes: int = MIB,
    cwd: str | None = None,
) -> "Iterator[Running]":
    """Start one command that works while we do, as `run` starts it; leaving the block kills its whole group.

    `stdin` is fed chunk by chunk in a thread; when it raises, the command is killed before it could take the end for
    a good one. `on_stdout` is given what the command prints, in a thread, instead of having it kept; while it blocks,
    the command blocks. `user` drops root for that user; it counts only when we are root.

    Raises:
        InputError: there is no such executable or user.
        CommandFailedError: the operating system could not start it, or cannot end it.
    """
    with ProcessGroup() as group:
        child = group.start(argv, environment_with(env), install_hint, user=user, cwd=cwd)
        command = Running(group, child, argv[0], stdin, on_stdout, output_limit_bytes)
        try:
            yield command
        finally:
            group.kill()
            command.close()


@contextmanager
def streaming(argv: Sequence[str], *, timeout_seconds: float, install_hint: str = "") -> Iterator[Iterator[bytes]]:
    """Start one command and hand out what it prints, chunk by chunk; leaving the block kills its whole group.

    While nobody takes the next chunk, the command waits. It is given nothing to read.

    Raises:
        InputError: there is no such executable.
        TargetTimeoutError: it did not end within the limit, which counts the time of who takes the chunks, too.
        CommandFailedError: it ended badly, which is raised in place of the end of the chunks; or could not be started.
    """
    deadline = time.monotonic() + timeout_seconds
    with ProcessGroup() as group:
        child = group.start(argv, environment_with({}), install_hint)
        _opened(child.stdin).close()
        out, err = _opened(child.stdout), _opened(child.stderr)
        with suppress(OSError):  # fewer turns; without it all works, too
            fcntl.fcntl(out.fileno(), fcntl.F_SETPIPE_SZ, MIB)

        def chunks() -> Iterator[bytes]:
            said = Kept(_CHUNK_BYTES)
            with selectors.DefaultSelector() as selector:
                selector.register(out, selectors.EVENT_READ)
                selector.register(err, selectors.EVENT_READ)
                while selector.get_map():
                    left = deadline - time.monotonic()
                    ready = [key.fileobj for key, _ in selector.select(max(0.0, left))]
                    if not ready:
                        raise TargetTimeoutError(
                            f"The command {argv[0]} did not end within {timeout_seconds:g} s and was killed; see what "
                            "it waits for, or give it more time."
                        )
                    for stream in ready:
                        chunk = os.read(out.fileno() if stream is out else err.fileno(), _STREAM_BYTES)
                        if not chunk:
                            selector.unregister(stream)
                        elif stream is out:
                            yield chunk
                        else:
                            said.take(chunk)
            if not ended(child, max(0.0, deadline - time.monotonic())) or child.returncode != 0:
                raise CommandFailedError(
                    f"The command {argv[0]} ended with status {child.returncode}: {complaint_of(said.text())}."
                )

        yield chunks()


class Running:
    """A command that works beside us; made by `running`. `stdout` and `stderr` may be read at any time."""

    def __init__(
        self,
        group: ProcessGroup,
        child: Child,
        name: str,
        stdin: Iterable[bytes] | None,
        on_stdout: Callable[[bytes], None] | None,
        output_limit_bytes: int,
    ) -> None:
        self._group, self._child, self._name = group, child, name
        self._out, self._err = Kept(output_limit_bytes), Kept(output_limit_bytes)
        self._closed = Event()
        self._error: BaseException | None = None
        # The threads own the streams from here on: a descriptor that somebody else closes may be another file's by
        # the time it is read.
        streams = _opened(child.stdin), _opened(child.stdout), _opened(child.stderr)
        child.stdin = child.stdout = child.stderr = None
        self._feeder = Thread(target=self._feed, args=(streams[0], stdin or ()), name="tdev-stdin", daemon=True)
        self._reader = Thread(
            target=self._read, args=(streams[1:], on_stdout or self._out.take), name="tdev-output", daemon=True
        )
        self._feeder.start()
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id of the command itself."""
        return self._child.pid

    @property
    def stdout(self) -> str:
        """What it printed so far, up to the limit."""
        return self._out.text()

    @property
    def stderr(self) -> str:
        """What it complained about so far, up to the limit."""
        return self._err.text()

    def poll(self) -> int | None:
        """Return the exit status (negative: a signal) once it has ended and its output is read; None before.

        Raises what `stdin` or `on_stdout` raised.
        """
        if self._reader.is_alive():
            return None
        if self._error:
            raise self._error
        return self._child.returncode

    def wait(self, timeout_seconds: float) -> int:
        """Wait for the exit status; see `poll`.

        Raises:
            TargetTimeoutError: the time limit passed. The command goes on until the block is left.
        """
        self._reader.join(timeout_seconds)
        status = self.poll()
        if status is None:
            raise TargetTimeoutError(
                f"The command {self._name} did not end within {timeout_seconds:g} s; "
                "see what it waits for, or give it more time."
            )
        return status

    def pause(self) -> None:
        """Stop the whole group where it is. It still ends with us."""
        self._group.pause()

    def resume(self) -> None:
        """Let the group go on."""
        self._group.resume()

    def terminate(self) -> None:
        """Ask the group to end, and kill it 2 s later."""
        self._group.terminate(self._child)

    def close(self) -> None:
        """Wait for the threads, after the group was killed; one whose callback hangs is left behind."""
        self._closed.set()
        for thread in (self._reader, self._feeder):
            thread.join(_JOIN_SECONDS)

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error
        self._group.kill()

    def _feed(self, stream: IO[bytes], chunks: Iterable[bytes]) -> None:
        try:
            for chunk in chunks:
                rest = memoryview(chunk)
                while rest and not self._closed.is_set():
                    rest = rest[os.write(stream.fileno(), rest) :]
        except BrokenPipeError:  # it reads no more, which is its right
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread
            self._fail(error)
            ended(self._child, _JOIN_SECONDS)  # only now the stream may close: its end would look like a good one
        finally:
            stream.close()

    def _read(self, streams: tuple[IO[bytes], IO[bytes]], on_stdout: Callable[[bytes], None]) -> None:
        try:
            self._drain(streams, on_stdout)
        except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread
            self._fail(error)
        finally:
            for stream in streams:
                stream.close()
        self._child.wait()
        self._group.kill()  # what it left running

    def _drain(self, streams: tuple[IO[bytes], IO[bytes]], on_stdout: Callable[[bytes], None]) -> None:
        give_up: float | None = None
        with selectors.DefaultSelector() as selector:
            for stream, take in zip(streams, (on_stdout, self._err.take), strict=True):
                selector.register(stream, selectors.EVENT_READ, take)
            while selector.get_map() and not self._closed.is_set():
                ready = selector.select(_TICK_SECONDS)
                for key, _ in ready:
                    chunk = os.read(key.fd, _CHUNK_BYTES)
                    if chunk:
                        key.data(chunk)
                    else:
                        selector.unregister(key.fileobj)
                if ready or self._child.poll() is None:
                    give_up = None
                elif give_up is None:
                    self._group.kill()
                    give_up = time.monotonic() + _LEFTOVER_GRACE_SECONDS
                elif time.monotonic() > give_up:
                    return


class Kept:
    """The beginning of a stream, up to a limit in bytes; `cut` says whether there was more."""

    def __init__(self, limit: int) -> None:
        self._bytes = bytearray()
        self._limit = limit
        self.cut = False

    def take(self, chunk: bytes) -> None:
        """Keep what there is room for."""
        room = self._limit - len(self._bytes)
        self._bytes += chunk[:room]
        self.cut = self.cut or len(chunk) > room

    def text(self) -> str:
        """Return what was kept; what is no UTF-8 shows as U+FFFD."""
        return self._bytes.decode("utf-8", errors="replace")


def complaint_of(stderr: str) -> str:
    """Return the first and the last line of what a failed command said.

    The last one alone often tells only that there was something before: "tar: Error is not recoverable: exiting now."
    """
    lines = [line.strip()[:_COMPLAINT].rstrip(".") for line in stderr.strip().splitlines()] or ["it said nothing"]
    return lines[0] if lines[0] == lines[-1] else f"{lines[0]} ... {lines[-1]}"


def _exchange(group: ProcessGroup, child: Child, stdin: bytes, kept: tuple[Kept, Kept], deadline: float) -> bool:
    """Feed and read the child until its streams end. False: the deadline came while it still ran."""
    rest = memoryview(stdin)
    over = False
    with selectors.DefaultSelector() as selector:
        for stream, sink in zip((child.stdout, child.stderr), kept, strict=True):
            selector.register(_opened(stream), selectors.EVENT_READ, sink)
        to_child = _opened(child.stdin)
        os.set_blocking(to_child.fileno(), False)
        selector.register(to_child, selectors.EVENT_WRITE)
        while selector.get_map():
            if not over and child.poll() is not None:
                over = True
                group.kill()
                deadline = time.monotonic() + _LEFTOVER_GRACE_SECONDS
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return over
            for key, _ in selector.select(min(remaining, _TICK_SECONDS)):
                if key.fileobj is to_child:
                    rest = _written(to_child, rest)
                    done = not rest
                else:
                    chunk = os.read(key.fd, _CHUNK_BYTES)
                    key.data.take(chunk)
                    done = not chunk
                if done:
                    selector.unregister(key.fileobj)
                    if key.fileobj is to_child:
                        to_child.close()
    return True


def _written(pipe: IO[bytes], rest: memoryview) -> memoryview:
    try:
        return rest[os.write(pipe.fileno(), rest[:_CHUNK_BYTES]) :]
    except BlockingIOError:
        return rest
    except BrokenPipeError:  # it reads no more, which is its right
        return memoryview(b"")


def _opened(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise AssertionError("the child was started with three pipes")
    return stream
