"""Fetches the lists and answers that certificates point at: implements `core.certificates.ports.Web`."""

from collections.abc import Mapping

import httpx

from tdev_operators.core.errors import GarbledAnswerError, TargetTimeoutError, TargetUnreachableError
from tdev_operators.hooks.deadline import TimeUpError, within

_OK = 200


class CertificatePlaces:
    """Asks without credentials, follows no redirect, and gives up after `timeout_seconds`, however it drips in."""

    def __init__(self, *, timeout_seconds: float = 20.0) -> None:
        self._seconds = timeout_seconds

    def get(self, url: str, *, max_bytes: int) -> bytes:
        """See `Web.get`."""
        return self._asked("GET", url, b"", {}, max_bytes)

    def post(self, url: str, body: bytes, content_type: str, *, max_bytes: int) -> bytes:
        """See `Web.post`."""
        return self._asked("POST", url, body, {"Content-Type": content_type}, max_bytes)

    def _asked(self, method: str, url: str, body: bytes, headers: Mapping[str, str], max_bytes: int) -> bytes:
        client = httpx.Client(timeout=self._seconds, trust_env=True, headers={"Accept-Encoding": "identity"})

        def work() -> bytes:
            with client.stream(method, url, content=body or None, headers=headers) as answer:
                if answer.status_code != _OK:
                    raise GarbledAnswerError(f"{url} answered with status {answer.status_code}.")
                kept = bytearray()
                for piece in answer.iter_bytes():
                    kept += piece
                    if len(kept) > max_bytes:
                        raise GarbledAnswerError(f"{url} answered more than {max_bytes} bytes.")
                return bytes(kept)

        try:
            with client:
                return within(self._seconds, work, abandon=client.close)
        except (TimeUpError, httpx.TimeoutException):
            raise TargetTimeoutError(f"{url} did not answer within {self._seconds:g} s.") from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise GarbledAnswerError(f"{url} is no address.") from None
        except httpx.HTTPError as error:
            raise TargetUnreachableError(f"{url} cannot be reached ({type(error).__name__}).") from None
