"""The only module of the product that starts processes.

A command runs in a process group of its own. The group's first member is a lifeline: a shell that waits on a pipe
whose other end only we hold. When we die, even by kill -9, that pipe ends and the lifeline kills the group. It is in
place before the command is born, so there is no moment without it; it also reaches grandchildren, which
PR_SET_PDEATHSIG does not, and it needs no code between fork and exec, which is not safe beside threads.

`run` collects what a command prints. Several processes that feed each other belong into one `_ProcessGroup`.
"""

import contextlib
import os
import selectors
import shutil
import signal
import subprocess  # noqa: TID251 - this is the one module that may
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import IO, Self

from tdev_operators.core.errors import CommandFailedError, InputError, TargetTimeoutError, TdevError
from tdev_operators.core.ports import CommandOutput

MIB = 1024 * 1024

_CHUNK_BYTES = 64 * 1024
_TERMINATE_GRACE_SECONDS = 2.0
# A daemon that left the group may hold the streams open for ever; what the command itself printed is read by then.
_LEFTOVER_GRACE_SECONDS = 1.0
# What was killed ends at once, but for one that waits inside the kernel, as for a dead network mount: that never ends.
_REAP_SECONDS = 2.0
_TICK_SECONDS = 0.1

# A child sees only what it needs: our own environment holds connections and keys.
_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")

_LIFELINE = ("/bin/sh", "-c", 'trap "" TERM INT HUP; read -r _; kill -KILL 0', "tdev-lifeline")


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
    environment = _environment(env or {})
    with _ProcessGroup() as group:
        child = group.start(argv, environment, install_hint)
        out, err = Kept(output_limit_bytes), Kept(output_limit_bytes)
        try:
            _exchange(group, child, stdin, (out, err), deadline)
            status = child.wait(max(0.0, deadline - time.monotonic()))
        except (TimeoutError, subprocess.TimeoutExpired):
            group.terminate(child)
            raise TargetTimeoutError(
                f"The command {argv[0]} did not end within {timeout_seconds:g} s and was killed; "
                "see what it waits for, or give it more time."
            ) from None
    return CommandOutput(status, out.text(), err.text(), truncated=out.cut or err.cut)


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", **inherited, **extra}


class _ProcessGroup:
    """A process group that ends with the `with` block, and at the latest with our own process."""

    def __enter__(self) -> Self:
        read_end, self._write_end = os.pipe()
        try:
            self._lifeline = _popen(_LIFELINE, stdin=read_end, env={}, process_group=0)
        except BaseException:
            os.close(self._write_end)
            raise
        finally:
            os.close(read_end)
        self._children: list[subprocess.Popen[bytes]] = []
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        deadline = time.monotonic() + _REAP_SECONDS
        stuck: list[int] = []
        for child in (*self._children, self._lifeline):
            for stream in (child.stdin, child.stdout, child.stderr):
                if stream:
                    with contextlib.suppress(OSError):
                        stream.close()
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                stuck.append(child.pid)
        os.close(self._write_end)
        if stuck and (error is None or isinstance(error, TdevError)):
            raise CommandFailedError(
                f"Process {stuck[0]} was killed and does not end: it waits inside the kernel; see its disk or mount."
            )

    def start(self, argv: Sequence[str], env: Mapping[str, str], install_hint: str) -> subprocess.Popen[bytes]:
        """Start a member with three pipes."""
        executable = shutil.which(argv[0], path=env["PATH"])
        if executable is None:
            raise InputError(
                f"There is no command {argv[0]} on this machine; {install_hint or 'install it, or mend PATH'}."
            )
        pipe = subprocess.PIPE
        child = _popen(
            argv,
            executable=executable,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=env,
            process_group=self._lifeline.pid,
        )
        self._children.append(child)
        return child

    def kill(self) -> None:
        """Kill every member, the lifeline included. Its number is not reused before `__exit__` has reaped it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._lifeline.pid, signal.SIGKILL)

    def terminate(self, child: subprocess.Popen[bytes]) -> None:
        """Ask the members to end, and kill them when the child has not ended soon."""
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(self._lifeline.pid, signal.SIGTERM)
            child.wait(_TERMINATE_GRACE_SECONDS)
        self.kill()


def _popen(  # one place where a process starts
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    process_group: int,
    stdin: int,
    stdout: int = subprocess.DEVNULL,
    stderr: int = subprocess.DEVNULL,
    executable: str | None = None,
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            argv,
            executable=executable,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=env,
            process_group=process_group,
            bufsize=0,
        )
    except ValueError:
        raise InputError(f"The command {argv[0]} was given a NUL character; remove it.") from None
    except OSError as error:
        raise CommandFailedError(f"The command {argv[0]} could not be started: {error.strerror}.") from None


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


def _exchange(
    group: _ProcessGroup, child: subprocess.Popen[bytes], stdin: bytes, kept: tuple[Kept, Kept], deadline: float
) -> None:
    """Feed and read the child until its streams end. Raises TimeoutError at the deadline while it still runs."""
    rest = memoryview(stdin)
    ended = False
    with selectors.DefaultSelector() as selector:
        for stream, sink in zip((child.stdout, child.stderr), kept, strict=True):
            selector.register(_opened(stream), selectors.EVENT_READ, sink)
        to_child = _opened(child.stdin)
        os.set_blocking(to_child.fileno(), False)
        selector.register(to_child, selectors.EVENT_WRITE)
        while selector.get_map():
            if not ended and child.poll() is not None:
                ended = True
                group.kill()
                deadline = time.monotonic() + _LEFTOVER_GRACE_SECONDS
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                if ended:
                    return
                raise TimeoutError
            for key, _ in selector.select(min(remaining, _TICK_SECONDS)):
                if key.fileobj is to_child:
                    rest = _feed(to_child, rest)
                    over = not rest
                else:
                    chunk = os.read(key.fd, _CHUNK_BYTES)
                    key.data.take(chunk)
                    over = not chunk
                if over:
                    selector.unregister(key.fileobj)
                    if key.fileobj is to_child:
                        to_child.close()


def _feed(pipe: IO[bytes], rest: memoryview) -> memoryview:
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
