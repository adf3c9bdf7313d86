"""A proxy in front of an S3 server that can answer in its place, cut, drip, hang and lose what it said."""

import itertools
import select
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal
from xml.sax.saxutils import escape

from sandbox.faults.relay import Relay
from sandbox.faults.requests import S3Request
from sandbox.faults.rules import Call, Fault, FaultBoard
from sandbox.faults.wire import Body, Head, Wire

_OK = 200
_REASONS = {200: "OK", 403: "Forbidden", 404: "Not Found", 500: "Internal Server Error", 503: "Slow Down"}
_DRIP_TICK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer in place of the server, which never sees the request."""

    status: int
    code: str
    message: str = "A fault that was armed on purpose."
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ResetRequest:
    """Reset both sides when so many bytes of the request's body have passed (at its end, when it has fewer)."""

    after_bytes: int = 0


@dataclass(frozen=True, slots=True)
class EndResponse:
    """Pass so many bytes of the response's body, then end the connection: by a reset, or politely, as if complete."""

    after_bytes: int = 0
    politely: bool = False


@dataclass(frozen=True, slots=True)
class Hang:
    """Take the request, say nothing, and keep the connection until the client leaves.

    With `after_bytes` the server answers, and the silence begins so far into the body of its response.
    """

    after_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Drip:
    """Let the response, or the request's body, through at this rate."""

    bytes_per_second: int
    direction: Literal["response", "request"] = "response"


@dataclass(frozen=True, slots=True)
class LoseAnswer:
    """Let the server do it, swallow its answer, and reset the client."""


Action = Answer | ResetRequest | EndResponse | Hang | Drip | LoseAnswer | Call
S3Fault = Fault[S3Request, Action]


def internal_error() -> Answer:
    """500, as S3 says it."""
    return Answer(500, "InternalError", "We encountered an internal error. Please try again.")


def slow_down(retry_after_seconds: int = 1) -> Answer:
    """503 with Retry-After."""
    return Answer(503, "SlowDown", "Please reduce your request rate.", {"Retry-After": str(retry_after_seconds)})


def error_in_200() -> Answer:
    """200 whose body is an error: what S3 may say to CompleteMultipartUpload and CopyObject, having done nothing."""
    return Answer(_OK, "InternalError", "We encountered an internal error. Please try again.")


def expired_token() -> Answer:
    """403, as for credentials that have run out."""
    return Answer(403, "ExpiredToken", "The provided token has expired.")


def no_such_bucket() -> Answer:
    """404, as for a bucket that somebody removed."""
    return Answer(404, "NoSuchBucket", "The specified bucket does not exist.")


@dataclass(eq=False, slots=True)
class Exchange:
    """One request: `status` is the server's (0: it has not answered), `fault` what was done to it. Times are monotonic.

    Bytes are of bodies, and stand here before the client can have seen them. `ended_at` is None while it lasts.
    """

    request: S3Request
    fault: Action | None
    started_at: float = field(default_factory=time.monotonic)
    ended_at: float | None = None
    status: int = 0
    request_bytes: int = 0
    response_bytes: int = 0


class _Over(OSError):  # noqa: N818  no error: it is the end of a connection, and handled as such
    """This connection ends here; both sides are to be reset when `reset` is set."""

    def __init__(self, *, reset: bool = True) -> None:
        super().__init__("over")
        self.reset = reset


class S3Proxy(Relay):
    """In front of one S3 server without TLS, in path style. `faults` decide; `exchanges` is the log, in order of begin.

    It changes no byte of what passes, the Host header included: clients sign for the proxy's address, and the server
    checks signatures against what it is told.
    """

    def __init__(self, upstream_port: int) -> None:
        """Begin to listen; `upstream_port` is the server's."""
        self.faults: FaultBoard[S3Request, Action] = FaultBoard()
        self.exchanges: list[Exchange] = []
        super().__init__(upstream_port)

    @property
    def endpoint_url(self) -> str:
        """The address for S3 clients."""
        return f"http://{self.host}:{self.port}"

    def converse(self, client: socket.socket) -> None:
        """See `Relay.converse`."""
        server: socket.socket | None = None
        reset = False
        try:
            wire = Wire(client)
            server = self.dial()
            back = Wire(server)
            while self._client_asks(wire, back) and (head := wire.head()):
                request = S3Request.of(head)
                self.faults.began(request)
                exchange = Exchange(request, self.faults.fire(request))
                with self._lock:
                    self.exchanges.append(exchange)
                try:
                    self._exchange(exchange, head, wire, back)
                finally:
                    exchange.ended_at = time.monotonic()
        except _Over as over:
            reset = over.reset
        finally:
            self.hang_up(client, reset=reset)
            if server:
                self.hang_up(server, reset=reset)

    @staticmethod
    def _client_asks(client: Wire, server: Wire) -> bool:
        """Wait for the next request; False when the server closed the idle connection first."""
        return client.waiting or client.line in _first_to_speak(client, server)

    def _exchange(self, exchange: Exchange, head: Head, client: Wire, server: Wire) -> None:
        match exchange.fault:
            case Answer() as answer:
                self._answer(exchange, head, client, answer)
                return
            case Hang(after_bytes=None):
                self.wait_for_end(client.line, until_client_leaves=True)
                raise _Over
            case Call(function):
                function()
            case _:
                pass
        self._pass_request(exchange, head, client, server)
        self._pass_response(exchange, head, client, server)

    def _answer(self, exchange: Exchange, head: Head, client: Wire, answer: Answer) -> None:
        # A client that waits for "100 Continue" sends no body after another answer, and the connection is of no use.
        body_asked = head.body_of_request()
        asked_first = "expect" in head.headers and body_asked != Body(length=0) and not client.waiting
        if not asked_first:
            for piece in client.body(body_asked):
                self._count(exchange, request=len(piece))
        body = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{answer.code}</Code>'
            f"<Message>{escape(answer.message)}</Message><RequestId>fault</RequestId></Error>"
        ).encode()
        lines = [
            f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Fault')}",
            "Content-Type: application/xml",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in answer.headers.items()),
            *(["Connection: close"] if asked_first else []),
        ]
        exchange.status = answer.status
        client.line.sendall(
            "\r\n".join([*lines, "", ""]).encode() + (b"" if exchange.request.method == "HEAD" else body)
        )
        if asked_first:
            raise _Over(reset=False)

    def _pass_request(self, exchange: Exchange, head: Head, client: Wire, server: Wire) -> None:
        fault, body = exchange.fault, head.body_of_request()
        server.line.sendall(head.raw)
        asks_first = "expect" in head.headers and body != Body(length=0) and not client.waiting
        if asks_first and server.line in _first_to_speak(client, server):
            answer = _response(server)
            client.line.sendall(answer.raw)
            if not answer.interim:  # it does not want the body
                exchange.status = answer.status
                self._send_body(exchange, client, server.body(answer.body_of_response(exchange.request.method)))
                raise _Over(reset=False)
        cut_at = fault.after_bytes if isinstance(fault, ResetRequest) else None
        drip = fault.bytes_per_second if isinstance(fault, Drip) and fault.direction == "request" else None
        for piece in self._paced(client.body(body), drip):
            passes = len(piece) if cut_at is None else min(len(piece), cut_at - exchange.request_bytes)
            try:
                server.line.sendall(piece[:passes])
            except OSError:  # it has answered already, and reads no more
                return
            self._count(exchange, request=passes)
            if exchange.request_bytes == cut_at:
                break
        if cut_at is not None:
            raise _Over

    def _pass_response(self, exchange: Exchange, head: Head, client: Wire, server: Wire) -> None:
        fault = exchange.fault
        while (answer := _response(server)).interim:
            client.line.sendall(answer.raw)
        exchange.status = answer.status
        framing = answer.body_of_response(exchange.request.method)
        body = server.body(framing)
        match fault:
            case LoseAnswer():
                for _ in body:
                    pass
                raise _Over
            case Drip(rate, "response"):
                body = self._paced(itertools.chain([memoryview(answer.raw)], body), rate)
            case _:
                client.line.sendall(answer.raw)
        match fault:
            case EndResponse(after_bytes, politely):
                self._send_body(exchange, client, body, after_bytes)
                raise _Over(reset=not politely)
            case Hang(int(after_bytes)):
                self._send_body(exchange, client, body, after_bytes)
                self.wait_for_end(client.line, until_client_leaves=True)
                raise _Over
            case _:
                self._send_body(exchange, client, body)
        if framing.until_end or answer.closes or head.closes:
            raise _Over(reset=False)

    def _send_body(
        self, exchange: Exchange, client: Wire, body: Iterator[memoryview], limit: int | None = None
    ) -> None:
        if limit == 0:
            return
        for piece in body:
            part = piece if limit is None else piece[: limit - exchange.response_bytes]
            self._count(exchange, response=len(part))
            client.line.sendall(part)
            if exchange.response_bytes == limit:
                return

    def _paced(self, pieces: Iterable[memoryview], bytes_per_second: int | None) -> Iterator[memoryview]:
        if bytes_per_second is None:
            yield from pieces
            return
        size = max(1, int(bytes_per_second * _DRIP_TICK_SECONDS))
        for piece in pieces:
            for start in range(0, len(piece), size):
                part = piece[start : start + size]
                if self.closing.wait(len(part) / bytes_per_second):
                    raise _Over
                yield part

    def _count(self, exchange: Exchange, *, request: int = 0, response: int = 0) -> None:
        exchange.request_bytes += request
        exchange.response_bytes += response
        self.faults.carried(exchange.request, request + response)


def _first_to_speak(client: Wire, server: Wire) -> set[socket.socket]:
    """Wait until one of the two has something to say; return who has."""
    lines = {each.line.fileno(): each.line for each in (client, server)}
    poll = select.poll()
    for number in lines:
        poll.register(number, select.POLLIN)
    return {lines[number] for number, _ in poll.poll()}


def _response(server: Wire) -> Head:
    head = server.head()
    if head is None:
        raise _Over
    return head
