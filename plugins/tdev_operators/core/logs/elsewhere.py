"""Reading logs that lie elsewhere than on hosts: objects of a store, which never change, and events of a service."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial

from tdev_operators.core.errors import TdevError
from tdev_operators.core.health.side_by_side import side_by_side
from tdev_operators.core.logs.counting import Seen
from tdev_operators.core.logs.ports import LogEvents, LogObjects
from tdev_operators.core.logs.reading import Job, SourceRead
from tdev_operators.core.logs.settings import LogSource
from tdev_operators.core.logs.texts import TextError, text_of
from tdev_operators.core.ports import ObjectInfo

_AT_ONCE = 2
# Events may arrive so much later than they bear: that far back is counted anew each time.
_LATE_HOURS = 1


def read_objects(
    objects: LogObjects, source: LogSource, read: Mapping[str, str], job: Job
) -> tuple[SourceRead, dict[str, str]]:
    """Read the objects below a prefix that were written in the window and not `read` (ETags by key) before.

    Return what was read, and the objects that need not be read again.

    Raises:
        TdevError: they cannot be listed.
    """
    found = SourceRead(source.title)
    recent = [
        one
        for one in objects.list(source.bucket, source.prefix)
        if one.modified.timestamp() >= job.window.since * 60 and one.size_bytes
    ]
    kept = {one.key: one.etag for one in recent if read.get(one.key) == one.etag}
    new = [one for one in recent if one.key not in kept]
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
        kept[one.key] = one.etag
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
