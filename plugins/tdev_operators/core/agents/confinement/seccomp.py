"""The system calls that a confined process may make; every other one, new ones too, fails with EPERM.

libseccomp knows the numbers of every machine. It is called here by ctypes because the confined interpreter runs without
site-packages; what PyPI has (pyseccomp) is the same over the same library.
"""

import ctypes
import errno
import socket

LIBRARY = "libseccomp.so.2"

_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_EQUAL, _MASKED = 4, 7  # SCMP_CMP_EQ, SCMP_CMP_MASKED_EQ

_PLAIN = (
    *("read", "write", "readv", "writev", "pread64", "pwrite64", "lseek", "close", "fstat", "stat", "lstat"),
    *("newfstatat", "statx", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getdents64", "getcwd"),
    *("mmap", "munmap", "mprotect", "mremap", "madvise", "brk", "futex", "membarrier", "rseq", "set_robust_list"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "sigaltstack", "restart_syscall"),
    *("clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "getrandom"),
    *("getpid", "gettid", "getuid", "geteuid", "getgid", "getegid", "uname", "getrusage", "times", "sched_yield"),
    *("sched_getaffinity", "setitimer", "getitimer", "exit", "exit_group"),
    *("poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait"),
    *("pipe", "pipe2", "dup", "dup2", "dup3", "eventfd2", "shutdown"),
)
_OPENING = ("open", "openat")
# Not F_SETOWN and F_SETSIG: a descriptor would signal whom it is told to.
_FCNTLS = (0, 1, 2, 3, 4, 1030)  # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC
_IOCTLS = (0x5401, 0x5421, 0x5450, 0x5451)  # TCGETS, FIONBIO, FIONCLEX, FIOCLEX


class _Compared(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("how", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


class Filter:
    """The filter, made before anything is shut; `load` puts it in force in the process that calls it.

    An event loop needs a pair of sockets between itself and itself; that is the only socket that there can be, and
    nothing can be sent from it to an address.
    """

    def __init__(self, *, files: bool) -> None:
        """Allow the calls of plain computing. Without `files` nothing may be opened, for where landlock is missing.

        Raises:
            OSError: there is no libseccomp.
        """
        self._library = ctypes.CDLL(LIBRARY)
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._library.seccomp_init(_REFUSE))
        if not self._context:
            raise OSError(errno.ENOSYS, "libseccomp makes no filter")
        for name in (*_PLAIN, *(_OPENING if files else ())):
            self._allow(name)
        for name, requests in (("ioctl", _IOCTLS), ("fcntl", _FCNTLS)):
            for request in requests:
                self._allow(name, _Compared(1, _EQUAL, request))
        stream = _Compared(1, _MASKED, 0xF, socket.SOCK_STREAM)
        self._allow("socketpair", _Compared(0, _EQUAL, socket.AF_UNIX), stream)
        for name in ("sendto", "recvfrom"):
            self._allow(name, _Compared(4, _EQUAL, 0))
        # Our own limits may be read.
        self._allow("prlimit64", _Compared(0, _EQUAL, 0), _Compared(2, _EQUAL, 0))

    def load(self) -> None:
        """Put it in force.

        Raises:
            OSError: the kernel has no seccomp, or a container forbids it.
        """
        answer = self._library.seccomp_load(self._context)
        if answer < 0:
            raise OSError(-answer, "the kernel takes no seccomp filter")

    def _allow(self, name: str, *compared: _Compared) -> None:
        number = self._library.seccomp_syscall_resolve_name(name.encode())
        if number < 0:  # this machine has no such call
            return
        array = (_Compared * len(compared))(*compared)
        allowed = ctypes.c_uint32(_ALLOW)
        answer = self._library.seccomp_rule_add_array(self._context, allowed, number, len(compared), array)
        if answer < 0:
            raise OSError(-answer, f"libseccomp takes no rule for {name}")
