"""A TCP listener on loopback with one thread a connection: what both proxies stand on."""

import contextlib
import functools
import select
import socket
import struct
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Self

from sandbox.processes import LOOPBACK, free_port

CHUNK_BYTES = 256 * 1024

_BACKLOG = 512
_CONNECT_SECONDS = 10.0
_JOIN_SECONDS = 5.0
_TICK_SECONDS = 0.1
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Relay(ABC):
    """Listens at `host:port` in front of a server at loopback. A context manager; its threads are daemons.

    Threads with blocking sockets and not an event loop: a recv and a send of 256 KiB release the interpreter, so a
    stream passes at memory's speed, and a connection's way through its faults reads from top to bottom.
    """

    def __init__(self, upstream_port: int, upstream_host: str = LOOPBACK) -> None:
        """Begin to listen. `upstream_port` is the server's."""
        self.upstream = (upstream_host, upstream_port)
        self.host = LOOPBACK
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.port = free_port()
        self._listener.bind((LOOPBACK, self.port))
        self.accept()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def accept(self) -> None:
        """Take connections (again)."""
        self._listener.listen(_BACKLOG)
        self._start(self._accept_all, "accept")

    def refuse(self) -> None:
        """Refuse new connections as a machine without a server does. The port stays ours."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)

    def cut_all(self) -> int:
        """Reset every open connection, on both sides; return how many sockets that were."""
        with self._lock:
            doomed = list(self._open)
        for each in doomed:
            wake(each)
        return len(doomed)

    def close(self) -> None:
        """Cut everything and end the threads; closing twice is no error."""
        self.closing.set()
        self.refuse()
        self.cut_all()
        with self._lock:
            threads = list(self._threads)
        for each in threads:
            each.join(_JOIN_SECONDS)
        self._listener.close()

    @abstractmethod
    def converse(self, client: socket.socket) -> None:
        """Serve one connection to its end. OSErrors are the ends of connections."""

    def dial(self) -> socket.socket:
        """Connect to the server behind."""
        server = socket.create_connection(self.upstream, _CONNECT_SECONDS)
        server.settimeout(None)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open.add(server)
        return server

    def hang_up(self, line: socket.socket, *, reset: bool = False) -> None:
        """Close a socket: by an ordinary end, or by a reset."""
        with self._lock:
            self._open.discard(line)
        if reset:
            with contextlib.suppress(OSError):
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        line.close()

    def wait_for_end(self, line: socket.socket, *, until_client_leaves: bool) -> None:
        """Wait until this proxy cuts a connection or closes; if asked for, also until its other end has gone."""
        poll = select.poll()
        poll.register(line, select.POLLRDHUP if until_client_leaves else 0)
        while not self.closing.is_set() and not poll.poll(_TICK_SECONDS * 1000):
            pass

    def _start(self, body: Callable[[], None], name: str) -> threading.Thread:
        def run() -> None:
            try:
                with contextlib.suppress(OSError):
                    body()
            finally:
                with self._lock:
                    self._threads.discard(thread)

        thread = threading.Thread(target=run, name=f"fault-proxy-{name}", daemon=True)
        with self._lock:
            self._threads.add(thread)
        thread.start()
        return thread

    def _accept_all(self) -> None:
        while not self.closing.is_set():
            client, _ = self._listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open.add(client)
            self._start(functools.partial(self._serve, client), "connection")

    def _serve(self, client: socket.socket) -> None:
        try:
            self.converse(client)
        finally:
            self.hang_up(client)


def wake(line: socket.socket) -> None:
    """End a conversation from another thread: whoever waits on this socket goes on. Its own thread closes it."""
    with contextlib.suppress(OSError):
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        line.shutdown(socket.SHUT_RDWR)
