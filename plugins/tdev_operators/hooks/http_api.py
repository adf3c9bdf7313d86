"""The maintained HTTP API through httpx."""

import json
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Self

import httpx

from tdev_operators.core.errors import (
    GarbledAnswerError,
    InputError,
    SetupMissingError,
    TargetTimeoutError,
    TargetUnreachableError,
)
from tdev_operators.core.ports import HttpAnswer
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.deadline import TimeUpError, within
from tdev_operators.hooks.outages import OutageMemory

USER_AGENT = "tdev-maintenance-probe"
BODY_LIMIT_BYTES = 1024 * 1024


class HttpApi:
    """Implements `ports.HttpService`. The connection's password is the bearer token.

    The address is the connection's host, with `http://` or `https://` before it or in its schema; the extra `ca_file`
    names a CA that signs its certificate. `timeout_seconds` bounds the whole of an answer, however it drips in.
    """

    def __init__(
        self, facts: ConnectionFacts, *, connect_timeout_seconds: float = 3.0, timeout_seconds: float = 10.0
    ) -> None:
        self._facts = facts
        self._seconds = timeout_seconds
        self._timeout = httpx.Timeout(timeout_seconds, connect=min(connect_timeout_seconds, timeout_seconds))
        self.memory = OutageMemory()

    def __repr__(self) -> str:
        return f"HttpApi({self._facts!r})"

    @property
    def name(self) -> str:
        """Scheme, host and port."""
        return str(self._base.copy_with(path="/")).rstrip("/")

    def get(self, path: str, *, authorised: bool = True, forged_token: str = "") -> HttpAnswer:
        """See `ports.HttpService.get`. An answer that is no HTTP is a GarbledAnswerError."""
        return self._ask("GET", path, authorised=authorised, forged_token=forged_token)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> HttpAnswer:
        """Post JSON, or nothing, with the bearer token; raises as `get`. No check does this: it changes the service."""
        return self._ask("POST", path, body=b"" if body is None else json.dumps(body).encode())

    def patch(self, path: str, body: Mapping[str, Any]) -> HttpAnswer:
        """Send JSON with the bearer token; raises as `get`. No check does this: it changes the service."""
        return self._ask("PATCH", path, body=json.dumps(body).encode())

    def _ask(
        self, method: str, path: str, *, authorised: bool = True, forged_token: str = "", body: bytes = b""
    ) -> HttpAnswer:
        url, what = self._url(path), f"The API at {self.name}, asked for {path},"
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        if body:
            headers["Content-Type"] = "application/json"
        if authorised and self._facts.password:
            headers["Authorization"] = f"Bearer {self._token}"
        elif forged_token and not authorised:
            headers["Authorization"] = f"Bearer {forged_token}"
        try:
            with self.memory.attempt(), self._connecting(what), _Line() as line:
                return within(self._seconds, lambda: self._answer(method, url, headers, line, body), abandon=line.cut)
        except (TimeUpError, httpx.TimeoutException):
            raise TargetTimeoutError(
                f"{what} did not answer in full within {self._seconds:g} s; see what it waits for."
            ) from None
        except httpx.RemoteProtocolError as error:
            if "disconnected" in str(error) or "peer closed" in str(error):
                raise TargetUnreachableError(f"{what} hung up before its answer was whole; see its log.") from None
            raise GarbledAnswerError(
                f"{what} answered something that is no HTTP; mend the address in {self._facts.conn_id}."
            ) from None
        except httpx.TransportError as error:
            raise TargetUnreachableError(
                f"{what} broke the connection off ({type(error).__name__}); see its log."
            ) from None

    def _answer(self, method: str, url: httpx.URL, headers: dict[str, str], line: "_Line", sent: bytes) -> HttpAnswer:
        started, body = time.monotonic(), bytearray()
        # A fresh connection each time, and no proxy: what is measured is the service.
        with (
            httpx.Client(timeout=self._timeout, verify=self._tls, trust_env=False) as client,
            client.stream(
                method, url, headers=headers, content=sent or None, extensions={"trace": line.trace}
            ) as response,
        ):
            for chunk in response.iter_raw():
                body += chunk
                if len(body) >= BODY_LIMIT_BYTES:
                    break
            return HttpAnswer(
                status=response.status_code,
                body=bytes(body[:BODY_LIMIT_BYTES]),
                content_type=response.headers.get("content-type", ""),
                seconds=time.monotonic() - started,
            )

    @contextmanager
    def _connecting(self, what: str) -> Iterator[None]:
        """Translate only what means that nobody is there: that alone is remembered for the other paths."""
        try:
            yield
        except httpx.ConnectTimeout:
            raise TargetTimeoutError(
                f"{what} accepted no connection within {self._timeout.connect:g} s; "
                "see whether it runs and whether a firewall is between."
            ) from None
        except httpx.ConnectError as error:
            raise TargetUnreachableError(f"{what} cannot be reached ({error}); see whether it runs.") from None

    def _url(self, path: str) -> httpx.URL:
        try:
            return self._base.copy_with(raw_path=(self._base.path.rstrip("/") + "/" + path.lstrip("/")).encode("ascii"))
        except (UnicodeError, httpx.InvalidURL):
            raise InputError(f"The path {path!r} is no URL path; percent-encode it.") from None

    @property
    def _token(self) -> str:
        # httpx would refuse it as well, but with the token in its debug log.
        if not re.fullmatch(r"[\x21-\x7e]+", self._facts.password):
            raise SetupMissingError(
                f"The connection {self._facts.conn_id} holds a token that cannot stand in a header; write it anew."
            )
        return self._facts.password

    @cached_property
    def _base(self) -> httpx.URL:
        facts = self._facts
        address = facts.host if "://" in facts.host else f"{facts.schema or 'http'}://{facts.host}"
        try:
            url = httpx.URL(address)
            url = url.copy_with(port=facts.port) if facts.port else url
        except httpx.InvalidURL:
            url = httpx.URL("")
        if url.scheme not in ("http", "https") or not url.host or "%" in url.host:
            raise SetupMissingError(
                f"The connection {facts.conn_id} names no HTTP address; set its host to http://host and its port."
            )
        if url.userinfo:
            raise SetupMissingError(
                f"The connection {facts.conn_id} has a user or password in its host, where every message would show "
                "it; move the token into the password field."
            )
        return url

    @cached_property
    def _tls(self) -> ssl.SSLContext | bool:
        if self._base.scheme == "http":
            return False
        try:
            return ssl.create_default_context(cafile=self._facts.extra.get("ca_file"))
        except OSError:
            raise SetupMissingError(
                f"The connection {self._facts.conn_id} has an extra ca_file that cannot be read; mend it."
            ) from None


class _Line:
    """The socket below a request, so that another thread can cut it: a client closed there would race with its use."""

    def __enter__(self) -> Self:
        self._sockets: list[socket.socket] = []
        return self

    def __exit__(self, *_: object) -> None:
        for line in self._sockets:
            line.close()

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Take a second handle of the socket when httpx has connected."""
        if event == "connection.connect_tcp.complete":
            self._sockets.append(info["return_value"].get_extra_info("socket").dup())

    def cut(self) -> None:
        """End what waits on the socket."""
        for line in self._sockets:
            line.shutdown(socket.SHUT_RDWR)
