"""Judging an answer of the API: status, JSON, shape."""

import json
from typing import Any

from tdev_operators.core.errors import GarbledAnswerError
from tdev_operators.core.health.settings import Endpoint
from tdev_operators.core.ports import HttpAnswer

_HTTP_OK = 200
_SHOWN = 60
_CUT_AT = 1024 * 1024  # the limit of `HttpAnswer.body`


def json_of(answer: HttpAnswer) -> Any:
    """Return the JSON of a 200 answer.

    Raises:
        GarbledAnswerError: another status, or no JSON; the message is a clause about the answer.
    """
    _require_ok(answer)
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        start = answer.body[:_SHOWN].decode("utf-8", "replace")
        raise GarbledAnswerError(f"answered no JSON but {answer.content_type or 'something'}: {start!r}") from None


def require_shape(endpoint: Endpoint, answer: HttpAnswer) -> None:
    """Accept a 200 answer with JSON of the endpoint's shape. Of a longer one than is read, the beginning is judged.

    Raises:
        GarbledAnswerError: it is not so; the message is a clause about the answer.
    """
    if len(answer.body) >= _CUT_AT:
        _require_ok(answer)
        opening = b"{" if endpoint.answer == "object" else b"["
        missing = [key for key in endpoint.required_keys if json.dumps(key).encode() not in answer.body]
        if not answer.body.lstrip().startswith(opening):
            raise GarbledAnswerError(f"answered no JSON {endpoint.answer}")
    else:
        data = json_of(answer)
        if not isinstance(data, dict if endpoint.answer == "object" else list):
            raise GarbledAnswerError(f"answered a JSON {type(data).__name__} instead of {endpoint.answer}")
        entries = data if isinstance(data, list) else [data]
        missing = [
            key
            for key in endpoint.required_keys
            if not all(isinstance(entry, dict) and key in entry for entry in entries)
        ]
    if missing:
        raise GarbledAnswerError(f"lacks {', '.join(missing)} in its JSON")


def _require_ok(answer: HttpAnswer) -> None:
    if answer.status != _HTTP_OK:
        raise GarbledAnswerError(f"answered status {answer.status} instead of 200")
