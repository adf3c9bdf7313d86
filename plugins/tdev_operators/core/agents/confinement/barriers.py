"""Shuts the process in which it is called in, for good: what was open is closed, and nothing opens again."""

import errno
import gc
import os
import resource
import signal
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from tdev_operators.core.agents.confinement import kernel, seccomp

MIB = 1024 * 1024

# Each can be left out by a test, to see that the probes find it.
MECHANISMS = (
    "descriptors",
    "environment",
    "limits",
    "capabilities",
    "no_new_privs",
    "landlock",
    "seccomp",
    "namespaces",
    "clock",
)

INSTALLED = ("site-packages", "dist-packages")

_DESCRIPTORS = 32
_ALL_DESCRIPTORS = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What one confined process may use. `wall_seconds` is held from outside."""

    cpu_seconds: int
    wall_seconds: float
    memory_mb: int
    output_bytes: int

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Limits":
        """Rebuild them from plain JSON."""
        return cls(int(data["cpu"]), float(data["wall"]), int(data["memory"]), int(data["output"]))

    def to_json(self) -> dict[str, float]:
        """Return plain JSON."""
        return {
            "cpu": self.cpu_seconds,
            "wall": self.wall_seconds,
            "memory": self.memory_mb,
            "output": self.output_bytes,
        }


@cache
def library_places() -> tuple[str, ...]:
    """Return the files and folders of the interpreter's own library, without what was installed below it.

    The folder itself is not one of them, or else all below could be read; so the import system must have listed it.
    """
    paths = sysconfig.get_paths()
    folders = [paths["stdlib"]]
    if not os.path.exists(os.path.join(sys.prefix, "pyvenv.cfg")):  # noqa: PTH110, PTH118  in a venv it holds packages only
        folders.append(paths["platstdlib"])
    for finder in list(sys.path_importer_cache.values()):
        if finder is not None:
            finder.find_spec("tdev_no_such_module")
    return tuple(
        os.path.join(folder, name)  # noqa: PTH118  before anything that costs an import
        for folder in dict.fromkeys(folders)
        for name in sorted(os.listdir(folder))  # noqa: PTH208
        if name not in INSTALLED
    )


def filter_of(without: frozenset[str]) -> seccomp.Filter | None:
    """Return the filter of system calls for `shut_in`, made where its library can still be opened.

    Where files cannot be told apart, none may be opened: then what agents import must have been loaded.

    Raises:
        OSError: it cannot be made.
    """
    if "seccomp" in without:
        return None
    return seccomp.Filter(files=kernel.landlock_version() > 0 or "landlock" in without)


def shut_in(
    result: int,
    limits: Limits,
    readable: Iterable[str],
    parent: int,
    calls: seccomp.Filter | None,
    without: frozenset[str],
) -> None:
    """Leave this process with one descriptor, `result`, and no way to anything.

    Raises:
        OSError: a barrier cannot be put up; what was put up stays.
    """
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked to die with it
        os._exit(1)
    if "descriptors" not in without:
        _close_all_but(result)
    if "environment" not in without:
        os.environ.clear()
    gc.freeze()
    if "limits" not in without:
        for kind, most in _limits(limits).items():
            resource.setrlimit(kind, (most, most))
    if "capabilities" not in without:
        kernel.drop_capabilities()
    if "no_new_privs" not in without:
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    if "landlock" not in without and kernel.landlock_version() > 0:
        kernel.landlock(readable)
    _read_back(limits)
    if calls is not None:
        calls.load()


def _limits(limits: Limits) -> dict[int, int]:
    return {
        resource.RLIMIT_CPU: limits.cpu_seconds,
        resource.RLIMIT_AS: limits.memory_mb * MIB,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: _DESCRIPTORS,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: 0,
    }


def _read_back(limits: Limits) -> None:
    """Refuse to go on where something is not as it was set: behind the filter nobody could ask any more.

    Raises:
        OSError: names it.
    """
    if held := kernel.capabilities():
        raise OSError(errno.EPERM, f"capabilities {held:x} are held still")
    if kernel.prctl(kernel.PR_GET_NO_NEW_PRIVS) != 1:
        raise OSError(errno.EPERM, "no_new_privs is not set")
    for kind, most in _limits(limits).items():
        if resource.getrlimit(kind) != (most, most):
            raise OSError(errno.EPERM, f"resource limit {kind} is not {most}")


def _close_all_but(result: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.closerange(3, result)
    os.closerange(result + 1, _ALL_DESCRIPTORS)
