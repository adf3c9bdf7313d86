"""Ends on loopback that misbehave, and a look at everything that an error says."""

import contextlib
import logging
import socket
import threading
import traceback
from collections.abc import Callable, Iterator

import pytest

Behaviour = Callable[[socket.socket], None]


class Listener:
    """A TCP server that hands each connection to a function, in a thread of its own."""

    def __init__(self, behaviour: Behaviour, family: socket.AddressFamily = socket.AF_INET) -> None:
        self.accepted = 0
        self._behaviour = behaviour
        self._socket = socket.create_server(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family)
        self.host, self.port = self._socket.getsockname()[:2]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = self._socket.accept()
                self.accepted += 1
                self._open.append(line)
                threading.Thread(target=self._talk, args=(line,), daemon=True).start()

    def _talk(self, line: socket.socket) -> None:
        with contextlib.suppress(OSError):
            self._behaviour(line)

    def close(self) -> None:
        for line in (self._socket, *self._open):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    """Start servers with a given behaviour; all are closed after the test."""
    listeners: list[Listener] = []

    def start(behaviour: Behaviour, family: socket.AddressFamily = socket.AF_INET) -> Listener:
        listeners.append(Listener(behaviour, family))
        return listeners[-1]

    yield start
    for listener in listeners:
        listener.close()


@pytest.fixture
def silent(listen: Callable[..., Listener]) -> Listener:
    """A server that accepts, reads, and never says a word."""

    def swallow(line: socket.socket) -> None:
        while line.recv(65_536):
            pass

    return listen(swallow)


@pytest.fixture
def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as line:
        return int(line.getsockname()[1])


@pytest.fixture
def everything_said(caplog: pytest.LogCaptureFixture) -> Callable[[BaseException], str]:
    """Return all that a log could show of an error: message, repr, traceback, the captured log."""
    caplog.set_level(logging.DEBUG)

    def said(error: BaseException) -> str:
        return "\n".join([str(error), repr(error), *traceback.format_exception(error), caplog.text])

    return said
