"""Reading logs that lie elsewhere than on hosts: objects of a store, each as a whole, and events of a service."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from tdev_operators.core.errors import TdevError
from tdev_operators.core.health.side_by_side import side_by_side
from tdev_operators.core.logs.counting import Seen
from tdev_operators.core.logs.ports import LogEvents, LogObjects
from tdev_operators.core.logs.reading import Job, SourceRead
from tdev_operators.core.logs.settings import LogSource
from tdev_operators.core.logs.tally import Tally
from tdev_operators.core.logs.texts import TextError, text_of
from tdev_operators.core.ports import ObjectInfo

_AT_ONCE = 2
# Events may arrive so much later than they bear: that far back is counted anew each time.
_LATE_HOURS = 1


@dataclass(frozen=True, slots=True)
class ObjectRead:
    """An object as it was read: its ETag, and what was counted of it."""

    etag: str
    tally: Tally

    def to_json(self) -> list[Any]:
        """Return plain JSON types only."""
        return [self.etag, self.tally.to_json()]

    @classmethod
    def all_of(cls, data: Mapping[str, Any]) -> "dict[str, ObjectRead]":
        """Rebuild those by key; ETags alone, as they were kept before, say nothing of what was counted."""
        return {key: cls(one[0], Tally.from_json(one[1])) for key, one in data.items() if not isinstance(one, str)}


def read_objects(
    objects: LogObjects, source: LogSource, read: Mapping[str, ObjectRead], job: Job
) -> tuple[SourceRead, dict[str, ObjectRead]]:
    """Read the objects below a prefix that were written in the window and not `read` before, by key.

    Return what was read, and what is known of each object now: what was counted of one that was overwritten since (a
    log that grows and is copied every hour) is replaced, and not added to. One that was deleted still counts.

    Raises:
        TdevError: they cannot be listed.
    """
    found = SourceRead(source.title)
    recent = [
        one
        for one in objects.list(source.bucket, source.prefix)
        if one.modified.timestamp() >= job.window.since * 60 and one.size_bytes
    ]
    hours = job.window.since // 60, job.window.until // 60
    kept = {key: ObjectRead(one.etag, one.tally.without(*hours)) for key, one in read.items()}
    present = {one.key for one in recent}
    kept = {key: one for key, one in kept.items() if key in present or one.tally.lines}
    new = [one for one in recent if one.key not in kept or kept[one.key].etag != one.etag]
    parts = side_by_side({one: partial(_read, objects, source.bucket, one, job) for one in new}, at_most=_AT_ONCE)
    for one, part in parts.items():
        name = found.name_of(one.key)
        if isinstance(part, TdevError):
            found.skipped[name] = str(part)
            continue
        seen, problem = part
        if problem:
            # Counted again the next time it would be twice; what could be read of it was.
            found.skipped[name] = problem
        found.read[name] = seen
        kept[one.key] = ObjectRead(one.etag, seen.tally)
    if not recent:
        found.skipped[found.title] = "no object there was written in the last hours; see what ships the logs"
    return found, kept


def _read(objects: LogObjects, bucket: str, one: ObjectInfo, job: Job) -> tuple[Seen, str]:
    counting, problem = job.counting(), ""
    job.left()
    try:
        for text in text_of(objects.stream(bucket, one.key, one.etag)):
            counting.feed(text)
            job.left()
    except TextError as error:
        problem = str(error)
    seen = counting.end(is_whole=True)
    return seen, problem or job.problem_of(seen)


def read_events(events: LogEvents, source: LogSource, from_hour: int, job: Job) -> SourceRead:
    """Read a group's events from an hour on (hours since 1970): all of them, so that this hour is counted anew.

    Raises:
        TdevError: they cannot be read; nothing of them counts then.
    """
    found = SourceRead(source.title)
    since = max(from_hour * 60, job.window.since)
    counting = job.counting()
    for text in events.stream(source.group, _moment(since), _moment(job.window.until) + timedelta(minutes=1)):
        counting.feed(text)
        job.left()
    found.read[found.title] = counting.end(is_whole=True)
    return found


def hour_to_begin(until: int | None, window_since: int) -> int:
    """Return the hour from which events are counted anew, when they were read up to the hour `until` before."""
    first = window_since // 60
    return first if until is None else max(first, until - _LATE_HOURS)


def _moment(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * 60, UTC)
