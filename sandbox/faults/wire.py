"""HTTP/1.1 framing over a socket: heads as bytes, bodies as raw pieces that can be passed on unchanged."""

import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sandbox.faults.relay import CHUNK_BYTES

_LARGEST_HEAD = 256 * 1024
_CONTINUE = 100
_WITHOUT_BODY = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class Head:
    """A request's or response's head: `raw` is what came, `start` its first line, header names in lower case."""

    raw: bytes
    start: str
    headers: Mapping[str, str]

    @property
    def status(self) -> int:
        """The status of a response."""
        return int(self.start.split(" ", 2)[1])

    @property
    def interim(self) -> bool:
        """Whether another response follows this one."""
        return self.status // 100 * 100 == _CONTINUE

    @property
    def closes(self) -> bool:
        """Whether the connection ends after this message."""
        return "close" in self.headers.get("connection", "").lower()

    def body_of_response(self, method: str) -> "Body":
        """Return how the body of this response is framed."""
        if method == "HEAD" or self.interim or self.status in _WITHOUT_BODY:
            return Body(length=0)
        return self._body(until_end=True)

    def body_of_request(self) -> "Body":
        """Return how the body of this request is framed."""
        return self._body(until_end=False)

    def _body(self, *, until_end: bool) -> "Body":
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            return Body(chunked=True)
        if "content-length" in self.headers:
            return Body(length=int(self.headers["content-length"]))
        return Body(length=None if until_end else 0)


@dataclass(frozen=True, slots=True)
class Body:
    """`length` bytes, or chunked, or (neither) everything up to the connection's end."""

    length: int | None = None
    chunked: bool = False

    @property
    def until_end(self) -> bool:
        """Whether only the end of the connection ends it."""
        return self.length is None and not self.chunked


class Wire:
    """The receiving side of a socket."""

    def __init__(self, line: socket.socket) -> None:
        """Read from this socket."""
        self.line = line
        self._buffer = memoryview(bytearray(CHUNK_BYTES))
        self._rest = b""

    @property
    def waiting(self) -> bool:
        """Whether bytes have been read that nobody took yet."""
        return bool(self._rest)

    def head(self) -> Head | None:
        """Return the next head; None when the other side ended instead.

        Raises:
            OSError: it ended in the middle, or never ends.
        """
        raw = self._rest
        while (end := raw.find(b"\r\n\r\n")) < 0:
            chunk = self.line.recv(CHUNK_BYTES)
            if not chunk and not raw.strip():
                return None
            if not chunk or len(raw) > _LARGEST_HEAD:
                raise ConnectionResetError
            raw += chunk
        self._rest = raw[end + 4 :]
        raw = raw[: end + 4]
        start, *lines = raw.decode("latin-1").strip().split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return Head(raw, start, {name.strip().lower(): value.strip() for name, _, value in pairs})

    def body(self, body: Body) -> Iterator[memoryview]:
        """Yield a body as it stands on the wire, chunk frames included. A piece is valid until the next is asked for.

        Raises:
            OSError: the other side ended before the body did.
        """
        if body.chunked:
            yield from self._chunks()
        elif body.length is not None:
            yield from self._exactly(body.length)
        else:
            if self._rest:
                yield memoryview(self._take(len(self._rest)))
            while size := self.line.recv_into(self._buffer):
                yield self._buffer[:size]

    def _exactly(self, size: int) -> Iterator[memoryview]:
        if size and self._rest:
            first = self._take(size)
            size -= len(first)
            yield memoryview(first)
        while size:
            got = self.line.recv_into(self._buffer[: min(size, CHUNK_BYTES)])
            if not got:
                raise ConnectionResetError
            size -= got
            yield self._buffer[:got]

    def _chunks(self) -> Iterator[memoryview]:
        while True:
            line = self._one_line()
            yield memoryview(line)
            size = int(line.split(b";")[0], 16)
            if not size:
                break
            yield from self._exactly(size + 2)
        while (line := self._one_line()) != b"\r\n":
            yield memoryview(line)
        yield memoryview(line)

    def _one_line(self) -> bytes:
        while (end := self._rest.find(b"\r\n")) < 0:
            chunk = self.line.recv(CHUNK_BYTES)
            if not chunk or len(self._rest) > _LARGEST_HEAD:
                raise ConnectionResetError
            self._rest += chunk
        return self._take(end + 2)

    def _take(self, size: int) -> bytes:
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken
