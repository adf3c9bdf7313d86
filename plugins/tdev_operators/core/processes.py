"""The only module of the product that starts processes; `core.commands` is what everybody else uses.

A command runs in a process group of its own. The group's first member is a lifeline: a shell that waits on a pipe
whose other end only we hold. When we die, even by kill -9, that pipe ends and the lifeline kills the group. It is in
place before the command is born, so there is no moment without it; it also reaches grandchildren, which
PR_SET_PDEATHSIG does not, and it needs no code between fork and exec, which is not safe beside threads.

Several processes that feed each other belong into one `ProcessGroup`.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess  # noqa: TID251 - this is the one module that may
import time
from collections.abc import Mapping, Sequence
from threading import Lock
from types import TracebackType
from typing import Self, TypeAlias

from tdev_operators.core.errors import CommandFailedError, InputError, TdevError

Child: TypeAlias = subprocess.Popen[bytes]

_TERMINATE_GRACE_SECONDS = 2.0
# What was killed ends at once, but for one that waits inside the kernel, as for a dead network mount: that never ends.
_REAP_SECONDS = 2.0

# A child sees only what it needs: our own environment holds connections and keys.
_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")

_LIFELINE = ("/bin/sh", "-c", 'trap "" TERM INT HUP; read -r _; kill -KILL 0', "tdev-lifeline")


def environment_with(extra: Mapping[str, str]) -> dict[str, str]:
    """Return a child's whole environment: the few names that it inherits, the C locale, and `extra`."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", **inherited, **extra}


def ended(child: Child, seconds: float) -> bool:
    """Wait up to so many seconds for a child's end, and say whether it came; then `child.returncode` holds."""
    try:
        child.wait(max(0.0, seconds))
    except subprocess.TimeoutExpired:
        return False
    return True


class ProcessGroup:
    """A process group that ends with the `with` block, and at the latest with our own process. Thread-safe."""

    def __enter__(self) -> Self:
        read_end, self._write_end = os.pipe()
        try:
            self._lifeline = _popen(_LIFELINE, stdin=read_end, env={}, process_group=0)
        except BaseException:
            os.close(self._write_end)
            raise
        finally:
            os.close(read_end)
        self._children: list[Child] = []
        self._lock = Lock()
        self._reaped = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        deadline = time.monotonic() + _REAP_SECONDS
        for child in self._children:
            for stream in (child.stdin, child.stdout, child.stderr):
                if stream:
                    with contextlib.suppress(OSError):
                        stream.close()
        with self._lock:  # a signal after this would meet whoever has the number next
            self._reaped = True
            members = (*self._children, self._lifeline)
            stuck = [member.pid for member in members if not ended(member, deadline - time.monotonic())]
        os.close(self._write_end)
        if stuck and (error is None or isinstance(error, TdevError)):
            raise CommandFailedError(
                f"Process {stuck[0]} was killed and does not end: it waits inside the kernel; see its disk or mount."
            )

    def start(
        self, argv: Sequence[str], env: Mapping[str, str], install_hint: str, *, user: str = "", cwd: str | None = None
    ) -> Child:
        """Start a member with three pipes. `user` counts only when we are root.

        Raises:
            InputError: there is no such executable or user.
            CommandFailedError: the operating system could not start it.
        """
        executable = shutil.which(argv[0], path=env["PATH"])
        if executable is None:
            raise InputError(
                f"There is no command {argv[0]} on this machine; {install_hint or 'install it, or mend PATH'}."
            )
        dropping = _dropping_root(user, env["PATH"])
        pipe = subprocess.PIPE
        child = _popen(
            [*dropping, executable, *argv[1:]] if dropping else argv,
            executable=dropping[0] if dropping else executable,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=env,
            process_group=self._lifeline.pid,
            cwd=cwd,
        )
        self._children.append(child)
        return child

    def kill(self) -> None:
        """Kill every member, the lifeline included. Its number is not reused before `__exit__` has reaped it."""
        self._signal(signal.SIGKILL)

    def terminate(self, child: Child) -> None:
        """Ask the members to end, and kill them when the child has not ended soon."""
        self._signal(signal.SIGTERM)
        self.resume()  # who is stopped hears nothing
        ended(child, _TERMINATE_GRACE_SECONDS)
        self.kill()

    def pause(self) -> None:
        """Stop every member where it is; the lifeline goes on, so that the group still ends with us."""
        self._signal(signal.SIGSTOP)
        with self._lock, contextlib.suppress(ProcessLookupError):
            if not self._reaped:
                os.kill(self._lifeline.pid, signal.SIGCONT)

    def resume(self) -> None:
        """Let the members go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        with self._lock, contextlib.suppress(ProcessLookupError):
            if not self._reaped:
                os.killpg(self._lifeline.pid, number)


def _dropping_root(user: str, path: str) -> list[str]:
    if not user or os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv", path=path)
    if setpriv is None:
        raise InputError("There is no command setpriv on this machine; apt-get install util-linux.")
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise InputError(f"There is no user {user} on this machine; name one that exists, such as nobody.") from None
    return [setpriv, f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups", "--"]


def _popen(  # one place where a process starts
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    process_group: int,
    stdin: int,
    stdout: int = subprocess.DEVNULL,
    stderr: int = subprocess.DEVNULL,
    executable: str | None = None,
    cwd: str | None = None,
) -> Child:
    try:
        return subprocess.Popen(
            argv,
            executable=executable,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=env,
            process_group=process_group,
            cwd=cwd,
            bufsize=0,
        )
    except ValueError:
        raise InputError(f"The command {argv[0]} was given a NUL character; remove it.") from None
    except OSError as error:
        raise CommandFailedError(f"The command {argv[0]} could not be started: {error.strerror}.") from None
