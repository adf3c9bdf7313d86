"""Child processes that never outlive their parent: the `Supervisor` and its watchdog."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from sandbox.watchdog import MARKER_VARIABLE, kill_all, remove_folder

REPOSITORY = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"

# Runs first in every child: it tells the watchdog its group before anything else can run, so that no moment is left in
# which the parent could die and leave the child behind. Standard input is the watchdog's pipe until then.
_REGISTER = 'echo "group $$" >&0 || exit 70; exec "$@" </dev/null'

_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR")
# Below the kernel's range for outgoing connections, so that none of those takes a stopped part's port.
_PORTS = range(20_000, 32_000)
_given_ports: set[int] = set()  # a part binds its port later: until then it looks free to the next one who asks


class SandboxError(Exception):
    """A part of the sandbox did not do what it should; the message holds the end of its log."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running child: `process` is the leader of its process group."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    marker: str
    stop_signal: signal.Signals

    @property
    def pid(self) -> int:
        """Process id, which is the id of its group too."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether the leader lives."""
        return self.process.poll() is None

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines that it wrote."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


class Supervisor:
    """Spawns named children, stops them, and owns a home folder that goes when it goes.

    A watchdog process in a session of its own cleans up when this process dies without `close()`, `kill -9` included.
    Use it as a context manager. Thread-safe: parts may be started in parallel.
    """

    def __init__(self, home: Path | None = None) -> None:
        """Make the home folder (a temporary one by default; a given one must not exist yet) and start the watchdog."""
        if home is None:
            home = Path(tempfile.mkdtemp(prefix="tdev-sandbox-"))
        else:
            home.mkdir(parents=True, mode=0o700)
        home.chmod(0o711)  # PostgreSQL runs as another user and must reach its folder below
        self.home = home
        self._owner = os.getpid()
        self._token = secrets.token_hex(8)
        self._children: dict[str, Child] = {}
        self._folders = [home]
        self._lock = threading.Lock()
        self._closed = False
        watched, self._pipe = os.pipe()
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("watchdog.py")), self._token],
            stdin=watched,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
        os.close(watched)
        self._tell(f"folder {home}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def watchdog_pid(self) -> int:
        """Process id of the watchdog."""
        return self._watchdog.pid

    @property
    def children(self) -> Mapping[str, Child]:
        """The children that were spawned and not stopped, by name."""
        return dict(self._children)

    def add_folder(self, path: Path) -> None:
        """Have a folder (or a file) outside home removed at the end too."""
        self._folders.append(path)
        self._tell(f"folder {path}")

    def spawn(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
        user: str | None = None,
        cwd: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        ready: Callable[[], bool] | None = None,
        ready_seconds: float = 30.0,
    ) -> Child:
        """Start a child in a process group of its own, and wait until `ready()` says True.

        `env` is added to the parent's PATH, LANG, TZ and TMPDIR; nothing else is inherited. Both streams are appended
        to `log` (default `home/logs/<name>.log`). `user` only counts when this process is root.

        Raises:
            SandboxError: the name is taken, or the child ended or was not ready in time (then it is killed).
        """
        with self._lock:
            if self._closed:
                raise SandboxError(f"{name} cannot start: the supervisor is closed.")
            if name in self._children and self._children[name].running:
                raise SandboxError(f"{name} is running already; stop it first.")
            log = log or self.home / "logs" / f"{name}.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            marker = f"{self._token}/{name}"
            inherited = {key: os.environ[key] for key in _INHERITED if key in os.environ}
            with log.open("ab") as output:
                process = subprocess.Popen(
                    ["/bin/sh", "-c", _REGISTER, "sh", *as_user(user), *map(str, argv)],
                    env={**inherited, "HOME": str(self.home), **(env or {}), MARKER_VARIABLE: marker},
                    stdin=self._pipe,
                    stdout=output,
                    stderr=output,
                    cwd=cwd or self.home,
                    start_new_session=True,
                )
            child = self._children[name] = Child(name, process, log, marker, stop_signal)
        try:
            self._wait_ready(child, ready, ready_seconds)
        except BaseException:
            self.kill(name)
            raise
        return child

    def stop(self, name: str, *, grace_seconds: float = 10.0) -> int | None:
        """Ask a child to end, and kill what is left of it and of what it started after the grace.

        Returns its exit status; None when there is no such child.
        """
        child = self._children.get(name)
        if child is None:
            return None
        _signal_group(child, child.stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(grace_seconds)
        return self.kill(name)

    def kill(self, name: str) -> int | None:
        """Kill a child and everything that it started, at once; return its exit status (None: no such child)."""
        child = self._children.get(name)
        if child is None:
            return None
        kill_all([child.pid] if child.running else [], child.marker)
        status = child.process.wait()
        with self._lock:
            if self._children.get(name) is child:
                del self._children[name]
        self._tell(f"forget {child.pid}")
        return status

    def close(self) -> None:
        """Stop all children, remove the folders and end the watchdog. Closing twice is no error; a fork may not."""
        if os.getpid() != self._owner:
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
        children = list(self._children)
        if children:
            with ThreadPoolExecutor(len(children)) as pool:
                list(pool.map(self.stop, reversed(children)))
        for folder in self._folders:
            remove_folder(folder)
        self._tell("done")
        os.close(self._pipe)
        self._watchdog.wait()

    def _wait_ready(self, child: Child, ready: Callable[[], bool] | None, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while ready is not None and not ready():
            if not child.running:
                status = child.process.returncode
                raise SandboxError(f"{child.name} ended with status {status} before it was ready:\n{child.log_tail()}")
            if time.monotonic() > deadline:
                raise SandboxError(f"{child.name} was not ready after {seconds:g} s:\n{child.log_tail()}")
            time.sleep(0.02)

    def _tell(self, line: str) -> None:
        # A watchdog that somebody killed cannot be told anything; spawning then fails, closing still works.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._pipe, f"{line}\n".encode())


def _signal_group(child: Child, number: signal.Signals) -> None:
    if child.running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)


def as_user(user: str | None) -> list[str]:
    """Return the argv prefix that drops root for this user; empty when nobody is asked for or we are not root."""
    if user is None or os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise SandboxError("setpriv is missing; install util-linux, or run the sandbox as an ordinary user.")
    entry = pwd.getpwnam(user)
    return [setpriv, f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a loopback port that is free now and that the kernel will not give to an outgoing connection.

    No port is returned twice by one process.
    """
    for _ in range(1_000):
        port = secrets.choice(_PORTS)
        if port in _given_ports:
            continue
        with socket.socket(socket.AF_INET, kind) as candidate:
            if kind == socket.SOCK_STREAM:
                candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind((LOOPBACK, port))
            except OSError:
                continue
        _given_ports.add(port)
        return port
    raise SandboxError(f"No free port from {_PORTS.start} to {_PORTS.stop} on {LOOPBACK}.")


def answers_at(port: int) -> bool:
    """Whether something accepts connections at a loopback port."""
    with socket.socket() as client:
        client.settimeout(1.0)
        return client.connect_ex((LOOPBACK, port)) == 0


def end_on_signals() -> None:
    """Turn SIGTERM, SIGHUP and SIGINT into SystemExit, once, so that context managers clean up. Main thread only."""
    signals = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)

    def end(number: int, _frame: FrameType | None) -> None:
        for each in signals:  # a second Ctrl-C must not interrupt the clean-up
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for each in signals:
        signal.signal(each, end)
