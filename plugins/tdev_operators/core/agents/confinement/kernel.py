"""The kernel's calls that Python has no name for, by ctypes: landlock, capabilities, namespaces, death signals.

There is a wheel for landlock, but the confined interpreter runs without site-packages, and on purpose. Numbers are
those of linux/landlock.h, linux/capability.h, linux/prctl.h and linux/sched.h; they are the same on every machine.
"""

import ctypes
import os
import stat
from collections.abc import Iterable

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
PR_GET_NO_NEW_PRIVS = 39

_CLONE_NEWUTS, _CLONE_NEWIPC, _CLONE_NEWUSER, _CLONE_NEWNET = 0x04000000, 0x08000000, 0x10000000, 0x40000000

_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_LANDLOCK_VERSION = 1
_PATH_BENEATH = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
# How many rights of files there are by the version of landlock; an older kernel refuses newer bits.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NET_SINCE, _SCOPE_SINCE = 4, 6
_BIND_AND_CONNECT = 0b11
_SIGNALS_AND_ABSTRACT_SOCKETS = 0b11

_CAPABILITY_VERSION_3 = 0x20080522


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


_CapData = ctypes.c_uint32 * 6

_LIBC = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, value: int = 0) -> int:
    """Call prctl.

    Raises:
        OSError: the kernel refuses.
    """
    return _checked(_LIBC.prctl(option, ctypes.c_ulong(value), 0, 0, 0))


def unshare_network() -> None:
    """Enter a user namespace of our own with an empty network, IPC and host name.

    Raises:
        OSError: containers and some hosts forbid it.
    """
    _checked(_LIBC.unshare(_CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWIPC | _CLONE_NEWUTS))


def drop_capabilities() -> None:
    """Give up every capability.

    Raises:
        OSError: the kernel refuses.
    """
    _checked(_LIBC.capset(ctypes.byref(_CapHeader(_CAPABILITY_VERSION_3, 0)), ctypes.byref(_CapData())))


def capabilities() -> int:
    """Return the capabilities in force, or that could be put in force, as bits; 0 is none."""
    data = _CapData()
    _checked(_LIBC.capget(ctypes.byref(_CapHeader(_CAPABILITY_VERSION_3, 0)), ctypes.byref(data)))
    return data[0] | data[1] | data[2] | (data[3] | data[4] | data[5]) << 32


def landlock_version() -> int:
    """Return the version of landlock; 0 where the kernel has none, or a container hides it."""
    version: int = _LIBC.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), _LANDLOCK_VERSION)
    return max(0, version)


def landlock(readable: Iterable[str]) -> None:
    """Allow what is at or below these places to be read, and nothing else of any file, socket or process but ours.

    Raises:
        OSError: the kernel refuses.
    """
    version = landlock_version()
    rights = (1 << _FILE_RIGHTS.get(version, 16)) - 1
    rules = _Ruleset(
        rights,
        _BIND_AND_CONNECT if version >= _NET_SINCE else 0,
        _SIGNALS_AND_ABSTRACT_SOCKETS if version >= _SCOPE_SINCE else 0,
    )
    size = 24 if version >= _SCOPE_SINCE else 16 if version >= _NET_SINCE else 8
    ruleset = _checked(_LIBC.syscall(_LANDLOCK_CREATE, ctypes.byref(rules), ctypes.c_size_t(size), 0))
    for folder in readable:
        try:
            handle = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        may = _READ_FILE | _READ_DIR if stat.S_ISDIR(os.fstat(handle).st_mode) else _READ_FILE
        beneath = _Beneath(may, handle)
        _checked(_LIBC.syscall(_LANDLOCK_ADD, ruleset, _PATH_BENEATH, ctypes.byref(beneath), 0))
        os.close(handle)
    _checked(_LIBC.syscall(_LANDLOCK_RESTRICT, ruleset, 0))
    os.close(ruleset)


def libc() -> ctypes.CDLL:
    """Return the C library, for those who try what is forbidden."""
    return _LIBC


def _checked(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer
