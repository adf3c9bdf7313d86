"""The dead-man's switch: somebody outside expects this request after each run of a tier, and else raises the alarm."""

from http import HTTPStatus
from urllib.parse import urlsplit

from tdev_operators.core.errors import GarbledAnswerError
from tdev_operators.hooks.webhooks import request


def send_heartbeat(url: str) -> None:
    """Ask for the URL. Messages name its host only: such URLs are secrets.

    Raises:
        TargetUnreachableError, TargetTimeoutError, GarbledAnswerError (not answered with success), SettingsError.
    """
    where = f"The heartbeat_url (host {urlsplit(url).hostname})"
    status = request(where, url)
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        raise GarbledAnswerError(f"{where} answered {status}; look whether it is still valid.")
