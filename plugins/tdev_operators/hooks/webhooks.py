"""One HTTP request to an address that is a secret itself. Through the standard library, since httpx logs each URL."""

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from tdev_operators.core.errors import SettingsError, TargetTimeoutError, TargetUnreachableError
from tdev_operators.hooks.deadline import TimeUpError, within

_SECONDS = 5.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow nothing: the answer is the answer."""


_OPENER = urllib.request.build_opener(_NoRedirect)


def request(where: str, url: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> int:
    """Send a GET, or with a body a POST, and return the answer's HTTP status, whatever it is.

    `where` begins the sentences of errors, in place of the URL.

    Raises:
        TargetTimeoutError, TargetUnreachableError, SettingsError (not a URL for the web).
    """
    if not url.startswith(("https://", "http://")):
        raise SettingsError(f"{where} has no http or https address; mend it.")

    def work() -> int:
        asked = urllib.request.Request(url, data=body, headers={"User-Agent": "tdev-maintenance", **(headers or {})})  # noqa: S310 - looked at above
        try:
            with _OPENER.open(asked, timeout=_SECONDS) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    try:
        return within(2 * _SECONDS, work)
    except (TimeUpError, TimeoutError):
        raise _late(where) from None
    except (http.client.InvalidURL, ValueError):
        raise SettingsError(f"{where} has no valid address; mend it.") from None
    except (OSError, http.client.HTTPException) as error:  # the text of some holds the URL
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            raise _late(where) from None
        if isinstance(reason, str):  # urllib's own word, before it ever connected
            raise SettingsError(f"{where} has no valid address; mend it.") from None
        raise TargetUnreachableError(f"{where} cannot be reached ({type(reason).__name__}); look at it.") from None


def _late(where: str) -> TargetTimeoutError:
    return TargetTimeoutError(f"{where} did not answer within {_SECONDS:g} s; look at it, and at the network.")
