"""Asking for TLS on a line that begins in the clear: SMTP (RFC 3207), IMAP (RFC 9051), PostgreSQL (SSLRequest)."""

import socket
import struct
from collections.abc import Callable

from tdev_operators.core.errors import GarbledAnswerError
from tdev_operators.core.ports import StartTls

_SSL_REQUEST = struct.pack("!II", 8, 80_877_103)
_LONGEST_LINE, _MOST_LINES = 2_048, 200

# What is said, and how a good answer begins.
_DIALOGUES: dict[StartTls, tuple[tuple[bytes, bytes], ...]] = {
    "smtp": ((b"", b"220"), (b"EHLO probe.invalid\r\n", b"250"), (b"STARTTLS\r\n", b"220")),
    "imap": ((b"", b"* OK"), (b"a STARTTLS\r\n", b"a OK")),
    "postgres": ((_SSL_REQUEST, b"S"),),
}


def ask_for_tls(line: socket.socket, protocol: StartTls, remaining: Callable[[], float], what: str) -> None:
    """Talk until the other end waits for a handshake. `remaining` returns the seconds left, or raises TimeoutError.

    Raises:
        GarbledAnswerError: it does not offer TLS, or speaks another protocol. TimeoutError, OSError: as sockets do.
    """
    for said, good in _DIALOGUES.get(protocol, ()):
        line.sendall(said)
        answer = _answer(line, protocol, remaining)
        if not answer.startswith(good):
            text = answer[:80].decode("ascii", "replace").strip() or "nothing"
            raise GarbledAnswerError(f"{what} offers no TLS in {protocol} (it said {text!r}); see what listens there.")


def _answer(line: socket.socket, protocol: StartTls, remaining: Callable[[], float]) -> bytes:
    """Return the last line of an answer; what follows it belongs to the handshake and stays unread."""
    if protocol == "postgres":
        line.settimeout(remaining())
        return line.recv(1)
    text = b""
    for _ in range(_MOST_LINES):
        text = _heard(line, remaining)
        goes_on = text[3:4] == b"-" if protocol == "smtp" else text.startswith(b"* ") and not text.startswith(b"* OK")
        if not goes_on:
            break
    return text


def _heard(line: socket.socket, remaining: Callable[[], float]) -> bytes:
    text = b""
    while not text.endswith(b"\n") and len(text) < _LONGEST_LINE:
        line.settimeout(remaining())
        byte = line.recv(1)
        if not byte:
            return b""
        text += byte
    return text.strip()
