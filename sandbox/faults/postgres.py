"""A proxy in front of PostgreSQL that knows who speaks (the start-up message) and otherwise passes bytes."""

import itertools
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.faults.relay import CHUNK_BYTES, Relay, wake
from sandbox.faults.rules import Call, Fault, FaultBoard

_PROTOCOL_3 = 3
_REQUESTS_BEFORE_START_UP = frozenset({80_877_103, 80_877_104})  # SSLRequest, GSSENCRequest: 8 bytes, answered by one
_LARGEST_START_UP = 10_000


@dataclass(eq=False)
class Conversation:
    """One client's connection. Times are monotonic; `application` is what it called itself at the start."""

    number: int
    application: str = ""
    database: str = ""
    user: str = ""
    opened_at: float = field(default_factory=time.monotonic)
    closed_at: float | None = None
    to_server_bytes: int = 0
    to_client_bytes: int = 0
    silenced: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """Reset this connection; with `everything` all of the proxy's."""

    everything: bool = False


@dataclass(frozen=True, slots=True)
class Silence:
    """Keep this connection open and pass nothing any more, in either direction."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Hold each piece that passes (up to 256 KiB) for so long."""

    seconds: float


Action = Cut | Silence | Delay | Call
PostgresFault = Fault[Conversation, Action]


def named(application: str) -> Callable[[Conversation], bool]:
    """Match the connections of one application name, for example "pg_dump"."""
    return lambda conversation: conversation.application == application


class PostgresProxy(Relay):
    """In front of one PostgreSQL server without TLS: `faults` decide what happens to whom, `conversations` is the log.

    `refuse()` and `accept()` close and open the door, `cut_all()` cuts everybody at once.
    """

    def __init__(self, upstream_port: int) -> None:
        """Begin to listen; `upstream_port` is the server's."""
        self.faults: FaultBoard[Conversation, Action] = FaultBoard()
        self.conversations: list[Conversation] = []
        self._numbers = itertools.count(1)
        super().__init__(upstream_port)

    def converse(self, client: socket.socket) -> None:
        """See `Relay.converse`."""
        server = self.dial()
        conversation = Conversation(next(self._numbers))
        with self._lock:
            self.conversations.append(conversation)
        try:
            _introduce(client, server, conversation)
            self.faults.began(conversation)
            back = self._start(lambda: self._pass(server, client, conversation, to_client=True), "answers")
            self._pass(client, server, conversation, to_client=False)
            back.join()
        finally:
            conversation.closed_at = time.monotonic()
            self.hang_up(server)

    def _pass(self, source: socket.socket, sink: socket.socket, conversation: Conversation, *, to_client: bool) -> None:
        buffer = memoryview(bytearray(CHUNK_BYTES))
        try:
            while size := source.recv_into(buffer):
                piece = buffer[:size]
                while piece:
                    room = self.faults.room(conversation, len(piece))
                    self._let_pass(conversation)
                    if conversation.silenced:
                        # As behind a broken line: the server does not learn that its client has gone.
                        self.wait_for_end(source, until_client_leaves=False)
                        return
                    sink.sendall(piece[:room])
                    self.faults.carried(conversation, room)
                    _count(conversation, room, to_client=to_client)
                    piece = piece[room:]
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            wake(source)
            wake(sink)

    def _let_pass(self, conversation: Conversation) -> None:
        match self.faults.fire(conversation):
            case Cut(everything=True):
                self.cut_all()
            case Cut():
                raise ConnectionResetError
            case Silence():
                conversation.silenced = True
            case Delay(seconds):
                self.closing.wait(seconds)
            case Call(function):
                function()
            case None:
                pass


def _count(conversation: Conversation, size: int, *, to_client: bool) -> None:
    if to_client:
        conversation.to_client_bytes += size
    else:
        conversation.to_server_bytes += size


def _introduce(client: socket.socket, server: socket.socket, conversation: Conversation) -> None:
    """Pass everything up to the start-up message, and read that."""
    while True:
        head = _exactly(client, 8)
        length, code = struct.unpack("!II", head)
        if code not in _REQUESTS_BEFORE_START_UP:
            break
        server.sendall(head)
        client.sendall(_exactly(server, 1))  # "N": no such encryption here
    rest = _exactly(client, min(length, _LARGEST_START_UP) - len(head))
    if code >> 16 == _PROTOCOL_3:
        words = rest.decode(errors="replace").split("\0")
        said = dict(zip(words[::2], words[1::2], strict=False))
        conversation.application = said.get("application_name", "")
        conversation.database = said.get("database", "")
        conversation.user = said.get("user", "")
    server.sendall(head + rest)


def _exactly(line: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        chunk = line.recv(size - len(got))
        if not chunk:
            raise ConnectionResetError
        got += chunk
    return got
