"""What a TLS end serves, trusted or not."""

import errno
import socket
import ssl
import sys
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

from tdev_operators.core.errors import GarbledAnswerError, SetupMissingError, TargetTimeoutError, TargetUnreachableError
from tdev_operators.core.ports import ServedCertificate, StartTls
from tdev_operators.hooks.starttls import ask_for_tls

_NO_ROUTE = (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class TlsProbe:
    """Implements `ports.TlsProber`. `ca_file` is trusted beside this machine's store; `timeout_seconds` bounds a probe.

    The first handshake is what a careful client does, chain and host name checked. Only when it is refused a second
    one, which trusts everybody, fetches the chain that was served.
    """

    def __init__(self, *, ca_file: str = "", timeout_seconds: float = 10.0) -> None:
        self._ca_file = ca_file
        self._seconds = timeout_seconds

    def probe(self, name: str, address: str, port: int, *, starttls: StartTls = "") -> ServedCertificate:
        """See `ports.TlsProber.probe`."""
        deadline = time.monotonic() + self._seconds
        what = f"The TLS end {name}:{port} at {address}"
        strict = self._strict

        def begun(line: socket.socket) -> None:
            if starttls:
                ask_for_tls(line, starttls, lambda: _remaining(deadline), what)

        try:
            try:
                return _shake(strict, name, (address, port), begun, deadline=deadline)
            except ssl.SSLEOFError:
                raise
            except ssl.SSLError as refusal:
                return _shake(_lenient(), name, (address, port), begun, deadline=deadline, refusal=_reason(refusal))
        except TimeoutError:
            raise TargetTimeoutError(
                f"{what} did not finish a handshake within {self._seconds:g} s; see whether a TLS server listens there."
            ) from None
        except ssl.SSLError as error:
            raise GarbledAnswerError(
                f"{what} speaks no TLS that we understand ({_reason(error)}); see what listens there."
            ) from None
        except OSError as error:
            if error.errno in _NO_ROUTE:
                raise SetupMissingError(
                    f"{what} cannot be looked at: this machine has no route to such addresses; give it one."
                ) from None
            raise TargetUnreachableError(
                f"{what} cannot be reached ({error.strerror or error}); see whether it listens."
            ) from None

    @cached_property
    def _strict(self) -> ssl.SSLContext:
        # Reading all of this machine's authorities takes longer than a handshake.
        context = ssl.create_default_context()
        try:
            if self._ca_file:
                context.load_verify_locations(cafile=self._ca_file)
        except OSError:
            raise SetupMissingError(
                f"The file of trusted CAs {self._ca_file} cannot be read; mend tls.ca_file in the settings."
            ) from None
        return context


def _lenient() -> ssl.SSLContext:
    """Return a context that talks to anybody, in old protocols, too: it only looks, and sends nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


def _shake(
    context: ssl.SSLContext,
    name: str,
    place: tuple[str, int],
    begun: Callable[[socket.socket], None],
    *,
    deadline: float,
    refusal: str = "",
) -> ServedCertificate:
    with socket.create_connection(place, timeout=_remaining(deadline)) as line:
        begun(line)
        line.settimeout(_remaining(deadline))  # Python bounds the whole handshake by it, not each byte
        with context.wrap_socket(line, server_hostname=name) as secured:
            host, at = secured.getpeername()[:2]
            return ServedCertificate(
                chain=_served_chain(secured),
                protocol=secured.version() or "",
                address=f"[{host}]:{at}" if ":" in host else f"{host}:{at}",
                refusal=refusal,
            )


def _remaining(deadline: float) -> float:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError
    return remaining


def _served_chain(secured: ssl.SSLSocket) -> tuple[bytes, ...]:
    if sys.version_info >= (3, 13):
        return tuple(secured.get_unverified_chain())
    # Public only since Python 3.13; the same call below it since 3.10.
    connection: Any = secured._sslobj  # type: ignore[attr-defined]  # noqa: SLF001
    return tuple(ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in connection.get_unverified_chain() or ())


def _reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return (error.reason or str(error)).lower().replace("_", " ")
