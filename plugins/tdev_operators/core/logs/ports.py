"""What the reading of logs needs from the outside world."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from tdev_operators.core.ports import Clock, ObjectInfo, StreamingHost, utc_now


class LogObjects(Protocol):
    """Objects of a store that hold logs."""

    def list(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects below a prefix; raises what `ports.ObjectStore.list` raises."""

    def stream(self, bucket: str, key: str, etag: str) -> Iterator[bytes]:
        """Yield an object's bytes as they come.

        Raises:
            InputError: it is gone, or was overwritten meanwhile; TransientError: it hangs or breaks off.
        """


class LogEvents(Protocol):
    """Events of a log service."""

    def stream(self, group: str, since: datetime, until: datetime) -> Iterator[bytes]:
        """Yield the events of a group as lines, each with a stamp, in the order of time.

        Raises:
            InputError: there is no such group; AccessDeniedError, TransientError.
        """


@dataclass(frozen=True, slots=True)
class LogPorts:
    """Everything through which logs are read."""

    hosts: Mapping[str, StreamingHost]
    objects: LogObjects
    events: LogEvents
    clock: Clock = field(default=utc_now)
