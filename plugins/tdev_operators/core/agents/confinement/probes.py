"""Tries to break out of the confinement, in the place of an agent. What gives way is named."""

import ctypes
import errno
import fcntl
import os
import socket
import sysconfig
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tdev_operators.core.agents.confinement import kernel
from tdev_operators.core.agents.confinement.barriers import INSTALLED

# What each barrier keeps an agent from. Those with a limit of their own are asked for one by one, see `house`.
BARRIERS = (
    *("network", "reading files", "writing files", "other programs", "other processes", "environment", "descriptors"),
    *("privileges", "memory", "processor time", "wall clock", "output"),
)

_PTRACE_ATTACH = 16
_PRIVILEGED_UID = 12_345


def probe(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Try one barrier, or all that can be tried together; return by name what gave way, empty where it held."""
    match asked["barrier"]:
        case "together":
            return {name: _tried(attempt, asked) for name, attempt in _TOGETHER.items()}
        case "memory":
            return {"memory": _memory(int(asked["limits"]["memory"]))}
        case "processor time":
            until = time.monotonic() + 60
            while time.monotonic() < until:
                pass
            return {"processor time": "it ran on"}
        case "wall clock":
            time.sleep(float(asked["seconds"]))
            return {"wall clock": "it slept on"}
        case _:
            return {"output": "x" * (2 * int(asked["limits"]["output"]))}


def _tried(attempt: Callable[[Mapping[str, Any]], list[str]], asked: Mapping[str, Any]) -> str:
    return "; ".join(attempt(asked))


def _succeeds(what: str, attempt: Callable[[], object]) -> list[str]:
    try:
        attempt()
    except (OSError, ValueError):
        return []
    return [what]


def _network(asked: Mapping[str, Any]) -> list[str]:
    def connect() -> None:
        with socket.create_connection((asked["host"], asked["port"]), timeout=1):
            pass

    def abstract() -> None:
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(asked["abstract"])

    def datagram() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.sendto(b"x", (asked["host"], asked["port"]))

    def smuggled() -> None:
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with left, right:
            left.sendto(b"x", asked["abstract"])

    return [
        *_succeeds("a connection to this machine", connect),
        *_succeeds("a local socket", abstract),
        *_succeeds("a datagram", datagram),
        *_succeeds("a datagram from a pair of sockets", smuggled),
    ]


def _reading(asked: Mapping[str, Any]) -> list[str]:
    def read(path: str) -> None:
        with open(path, "rb") as file:  # noqa: PTH123  the plainest way in
            file.read(1)

    def listed(path: str) -> None:
        os.listdir(path)  # noqa: PTH208  the same

    # What is installed beside the library is nobody's business there.
    installed = [os.path.join(sysconfig.get_paths()["stdlib"], name) for name in INSTALLED]  # noqa: PTH118
    secrets = (
        *asked["installed"],
        asked["secret"],
        "/etc/passwd",
        "/proc/self/environ",
        "/proc/self/maps",
        f"/proc/{asked['pid']}/environ",
    )
    found = [f"{path} was read" for path in secrets if _succeeds(path, partial(read, path))]
    folders = ("/", "/proc", str(Path(asked["secret"]).parent), *asked["homes"], *installed)
    return found + [f"{path} was listed" for path in folders if _succeeds(path, partial(listed, path))]


def _writing(asked: Mapping[str, Any]) -> list[str]:
    secret = Path(asked["secret"])
    beside, folder = secret.parent / "beside", secret.parent / "folder"

    def changed() -> None:
        with secret.open("ab") as file:
            file.write(b"x")

    return [
        *_succeeds("a file was made", beside.touch),
        *_succeeds("a folder was made", folder.mkdir),
        *_succeeds("a file was changed", changed),
        *_succeeds("a file was cut", lambda: os.truncate(secret, 0)),
        *_succeeds("a file was renamed", lambda: secret.rename(secret.with_suffix(".moved"))),
        *_succeeds("a file's mode was changed", lambda: secret.chmod(0o777)),
        *_succeeds("a file was removed", secret.unlink),
        *_succeeds("shared memory was made", Path(asked["shared"]).touch),
    ]


def _programs(_: Mapping[str, Any]) -> list[str]:
    def fork() -> None:
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)

    forked = _succeeds("a process was forked", fork)
    # Who cannot fork would be replaced by the program, and say no more; one that is not there tells as well.
    try:
        os.execv("/nonexistent/program", ["program"])  # noqa: S606
    except OSError as error:
        return [*forked, *(["a program can be started"] if error.errno not in (errno.EPERM, errno.EACCES) else [])]
    return forked


def _processes(asked: Mapping[str, Any]) -> list[str]:
    parent, worker = os.getppid(), int(asked["pid"])
    libc, word = kernel.libc(), ctypes.c_long()

    def attach() -> None:
        if libc.ptrace(_PTRACE_ATTACH, parent, 0, 0) < 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    def memory() -> None:
        Path(f"/proc/{parent}/mem").open("rb").close()

    def peek() -> None:
        local = (ctypes.c_void_p * 2)(ctypes.addressof(word), 8)
        if libc.process_vm_readv(parent, local, 1, local, 1, 0) < 0:
            raise OSError(ctypes.get_errno(), "process_vm_readv")

    def through_a_descriptor() -> None:
        reader, writer = os.pipe()
        try:
            fcntl.fcntl(reader, fcntl.F_SETOWN, worker)
        finally:
            os.close(reader)
            os.close(writer)

    # A signal of number 0 asks whether it could be sent.
    found = [*_succeeds("its parent can be signalled", lambda: os.kill(parent, 0))] if parent else []
    return [
        *found,
        *_succeeds("the worker can be signalled", lambda: os.kill(worker, 0)),
        *_succeeds("every process can be signalled", lambda: os.kill(-1, 0)),
        *_succeeds("a descriptor signals the worker", through_a_descriptor),
        *_succeeds("its parent was traced", attach),
        *_succeeds("its parent's memory was opened", memory),
        *_succeeds("its parent's memory was read", peek),
    ]


def _environment(_: Mapping[str, Any]) -> list[str]:
    return [f"{name} is set" for name in os.environ]


def _descriptors(_: Mapping[str, Any]) -> list[str]:
    found, null, more = [], os.makedev(1, 3), 0
    for number in range(256):
        try:
            facts = os.fstat(number)
        except OSError:
            continue
        if number <= 2:  # noqa: PLR2004  the standard streams
            found += [] if facts.st_rdev == null else [f"descriptor {number} is somebody's"]
        else:
            more += 1
    return [*found, *([f"{more} descriptors are open besides"] if more > 1 else [])]  # one is the result's


def _privileges(_: Mapping[str, Any]) -> list[str]:
    found = []
    try:
        held = kernel.capabilities()
        if held:
            found.append(f"capabilities {held:x}")
    except OSError:
        pass  # it may not even ask
    libc = kernel.libc()

    def called(number: int) -> None:
        if number < 0:
            raise OSError(ctypes.get_errno(), "refused")

    return [
        *found,
        *_succeeds("another user was taken on", lambda: os.setuid(_PRIVILEGED_UID)),
        *_succeeds("a namespace was made", lambda: called(libc.unshare(0x10000000))),
        *_succeeds("a folder was mounted", lambda: called(libc.mount(b"none", b"/tmp", b"tmpfs", 0, None))),
        *_succeeds("the root was changed", lambda: os.chroot("/")),
    ]


def _memory(limit_mb: int) -> str:
    try:
        kept = bytearray(2 * limit_mb * 1024 * 1024)
    except MemoryError:
        return ""
    return f"{len(kept)} bytes were had"


_TOGETHER: dict[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "environment": _environment,
    "descriptors": _descriptors,
    "network": _network,
    "reading files": _reading,
    "writing files": _writing,
    "other programs": _programs,
    "other processes": _processes,
    "privileges": _privileges,
}
