"""Events of CloudWatch Logs by the connection `tdev_aws`: implements `core.logs.ports.LogEvents`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from tdev_operators.core.errors import GarbledAnswerError, InputError
from tdev_operators.core.health.log_lines import line_time
from tdev_operators.hooks.aws import aws_errors, code_of, make_client
from tdev_operators.hooks.connections import ConnectionFacts

_SECONDS = 30.0
# AWS lets one ask for five pages a second; botocore waits and tries again.
_ATTEMPTS = 8


class CloudWatchEvents:
    """The log groups of the connection's account and region. Right: `logs:FilterLogEvents`."""

    def __init__(self, facts: ConnectionFacts) -> None:
        self._facts = facts

    def stream(self, group: str, since: datetime, until: datetime) -> Iterator[bytes]:
        """See `LogEvents.stream`. A page of up to 10,000 events, or 1 MB, is one chunk."""
        what = f"The log group {group} of CloudWatch Logs"
        client = make_client(self._facts, "logs", timeout_seconds=_SECONDS, attempts=_ATTEMPTS)
        asked: dict[str, Any] = {
            "logGroupName": group,
            "startTime": int(since.timestamp() * 1000),
            "endTime": int(until.timestamp() * 1000),
        }
        before = ""
        while True:
            with aws_errors(what, self._facts):
                try:
                    page = client.filter_log_events(**asked)
                except ClientError as error:
                    if code_of(error) == "ResourceNotFoundException":
                        raise InputError(f"{what} is not there; mend its entry in [[logs.sources]].") from None
                    raise
            if events := page.get("events"):
                yield b"".join(map(_line_of, events))
            token = page.get("nextToken", "")
            if not token:
                return
            if token == before:
                raise GarbledAnswerError(f"{what} gives one page again and again; see what answers there.")
            asked["nextToken"] = before = token


def _line_of(event: dict[str, Any]) -> bytes:
    """Return an event as lines; one whose message bears no stamp gets the event's own."""
    message = str(event.get("message", "")).rstrip("\n")
    if line_time(message.replace(" ", "T", 1)) is None:
        moment = datetime.fromtimestamp(int(event.get("timestamp", 0)) / 1000, UTC)
        message = f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z {message}"
    return message.encode("utf-8", "surrogatepass") + b"\n"
