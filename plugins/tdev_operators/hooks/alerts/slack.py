"""Slack through an incoming webhook. Its URL is a secret: the password of the connection `tdev_slack`."""

import json
from http import HTTPStatus
from typing import Any

from tdev_operators.core.errors import (
    AccessDeniedError,
    GarbledAnswerError,
    SetupMissingError,
    ThrottledError,
)
from tdev_operators.core.reporting.alerts import NoticeKind
from tdev_operators.core.reporting.escaping import slack as escaped
from tdev_operators.core.reporting.messages import AlertMessage, Channel, notice_age, notice_line
from tdev_operators.core.reporting.wording import counted
from tdev_operators.core.settings import Settings
from tdev_operators.hooks.connections import ConnectionSource
from tdev_operators.hooks.webhooks import request

CONNECTION = "tdev_slack"
_INVALID = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
# Slack refuses a message with more than 50 blocks, and a text above 3,000 characters.
_MOST_NOTICES = 20
_LONGEST_TEXT = 2900


def channel(_settings: Settings, connections: ConnectionSource) -> Channel:
    """Return the Slack channel.

    Raises:
        SetupMissingError: there is no connection, or it holds no URL.
    """
    url = connections.get(CONNECTION).password
    if not url.startswith(("https://", "http://")):
        raise SetupMissingError(f"The connection {CONNECTION} holds no webhook URL; put it into its password.")
    return SlackChannel(url)


class SlackChannel:
    """Posts one message to the webhook's channel."""

    name = "slack"

    def __init__(self, url: str) -> None:
        self._url = url

    def send(self, message: AlertMessage) -> None:
        """See `Channel.send`."""
        body = json.dumps(payload(message)).encode()
        status = request("Slack's webhook", self._url, body=body, headers={"Content-Type": "application/json"})
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            raise ThrottledError("Slack's webhook takes no more messages for now.")
        if status in _INVALID:
            raise AccessDeniedError(
                f"Slack's webhook is not valid any more ({status}); put a new one into {CONNECTION}."
            )
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            raise GarbledAnswerError(f"Slack's webhook answered {status}; look at the message's form.")


def payload(message: AlertMessage) -> dict[str, Any]:
    """Return the webhook's body: one block a notice; all foreign text escaped, and nothing in it becomes a link."""
    blocks = [_section(_notice_text(message, index)) for index in range(min(len(message.notices), _MOST_NOTICES))]
    left_out = len(message.notices) - len(blocks)
    if left_out:
        blocks.append(_section(f"… and {counted(left_out, 'more notice')}; read the report."))
    if message.url:
        label = "The whole report" if message.report else "Latest reports"
        blocks.append(
            {
                "type": "context",
                "elements": [{"type": "mrkdwn", "text": f"<{escaped(message.url).replace('|', '%7C')}|{label}>"}],
            }
        )
    return {"text": escaped(message.subject), "blocks": blocks, "unfurl_links": False, "unfurl_media": False}


def _notice_text(message: AlertMessage, index: int) -> str:
    notice = message.notices[index]
    mark = {"CRITICAL": ":red_circle:", "UNKNOWN": ":large_purple_circle:"}.get(notice.verdict.value, ":warning:")
    if notice.kind is NoticeKind.ENDED:
        mark = ":large_green_circle:"
    lines = [f"{mark} {escaped(notice_line(notice))}", escaped(notice_age(notice, message.created_at))]
    if notice.hint:
        lines.append(f"What to do: {escaped(notice.hint)}")
    return "\n".join(line for line in lines if line)


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:_LONGEST_TEXT], "verbatim": True}}
