"""Reading the maintained system's logs on a host: only the lines that matter leave it, in bounded time and memory."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tdev_operators.core.errors import CommandFailedError, GarbledAnswerError, InputError
from tdev_operators.core.ports import CommandOutput, Host

# 2026-11-23T09:00:00.123Z: sorted as text is sorted in time.
_STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", re.MULTILINE)
_ROTATION = re.compile(r"(?<=\.log).*")
_STAMP_FORMAT = "%Y-%m-%dT%H:%M:%S"

_SECONDS = 15.0
_NEWEST_FILES = 5
_TAIL_BYTES = 4096
_NO_MATCH = 1  # exit status of grep
_CLOCK_SLACK = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class LogFile:
    """A log file, current or rotated."""

    path: str
    modified: datetime
    size_bytes: int
    inode: int = 0

    @property
    def compressed(self) -> bool:
        """Whether logrotate has compressed it."""
        return self.path.endswith(".gz")

    @property
    def family(self) -> str:
        """The name without what logrotate adds: `api.log` for `api.log.2.gz` and `api.log-20261123`."""
        return _ROTATION.sub("", self.path.rpartition("/")[2])


def log_files(host: Host, directory: str) -> tuple[list[LogFile], list[str]]:
    """Return the log files of a folder, newest first, and the paths that hold control characters.

    Those are given to no program: who may write into the folder must not choose what zgrep, a shell script, reads.

    Raises:
        InputError: the folder is missing or unreadable, or holds no log or too many; and what `Host.run` and `listed`
            raise.
    """
    # A trailing slash, so that a folder that is a link is followed; no hidden files: those are being written.
    argv = ["find", f"{directory.rstrip('/')}/", "-maxdepth", "1", "-type", "f", "-name", "*.log*", "!", "-name", ".*"]
    ended = host.run([*argv, "-printf", r"%T@\0%s\0%i\0%p\0"], timeout_seconds=_SECONDS)
    if ended.exit_status != 0:
        raise InputError(f"The log folder {directory} of {host.name} cannot be read: {_complaint(ended.stderr)}.")
    files, odd = [], []
    for modified, size, inode, path in listed(ended, 4, f"the log folder {directory} of {host.name}"):
        if not path.isprintable():
            odd.append(path)
            continue
        files.append(LogFile(path, datetime.fromtimestamp(float(modified), UTC), int(size), int(inode)))
    if not files and not odd:
        raise InputError(f"The log folder {directory} of {host.name} holds no log; check [logs] directory.")
    return sorted(files, key=lambda file: file.modified, reverse=True), odd


def listed(ended: CommandOutput, fields: int, what: str) -> Iterator[list[str]]:
    """Yield the files that find has printed, as so many fields each, which end with a NUL.

    Raises:
        InputError: there are more than a host may answer with: a part of a list would look like all of it.
        GarbledAnswerError: it is no such list.
    """
    if ended.truncated:
        raise InputError(f"There are too many files to list in {what}; delete or move old ones.")
    words = ended.stdout.split("\0")
    if words.pop() or len(words) % fields:
        raise GarbledAnswerError(f"What find printed about {what} is no list of files; see how we reach it.")
    for at in range(0, len(words), fields):
        yield words[at : at + fields]


def newest_line(host: Host, files: Sequence[LogFile], now: datetime) -> datetime | None:
    """Return the time of the newest line of the files, as far as lines bear one; lines from the future do not count."""
    paths = [file.path for file in files if not file.compressed and file.size_bytes][:_NEWEST_FILES]
    if not paths:
        return None
    ended = host.run(["tail", "-q", "-c", str(_TAIL_BYTES), "--", *paths], timeout_seconds=_SECONDS)
    stamps = (line_time(found.group()) for found in _STAMP.finditer(ended.stdout))
    return max((stamp for stamp in stamps if stamp is not None and stamp <= now + _CLOCK_SLACK), default=None)


def matching_lines(
    host: Host, files: Iterable[LogFile], pattern: str, *, since: datetime, until: datetime
) -> tuple[list[str], bool]:
    """Return the lines between two moments that match a POSIX extended expression, and whether there were more.

    Raises:
        CommandFailedError: a file could not be read.
        GarbledAnswerError: what was found did not arrive; and what `Host.run` raises.
    """
    # What the host prints is cut: by minutes where that are few, so that a short time prints no whole hour.
    short = until - since <= timedelta(hours=1)
    step, form = (timedelta(minutes=1), "%Y-%m-%dT%H:%M:") if short else (timedelta(hours=1), "%Y-%m-%dT%H:")
    steps = int((until + _CLOCK_SLACK - since) / step) + 2
    prefixes = sorted({(since + step * number).strftime(form) for number in range(steps)})
    expression = f"^({'|'.join(prefixes)}).*({pattern})"
    recent = [file for file in files if file.modified >= since]
    lines: list[str] = []
    more = False
    for program, compressed in (("grep", False), ("zgrep", True)):
        paths = [file.path for file in recent if file.compressed is compressed]
        if not paths:
            continue
        argv = ["env", "LC_ALL=C", program, "-a", "-h", "-E", "-e", expression, *paths]
        ended = host.run(argv, timeout_seconds=_SECONDS)
        if ended.exit_status > _NO_MATCH:
            raise CommandFailedError(f"{program} could not read the logs of {host.name}: {_complaint(ended.stderr)}.")
        if ended.exit_status != _NO_MATCH and not ended.stdout.strip():
            raise GarbledAnswerError(f"{program} on {host.name} found lines and printed none; see how we reach it.")
        more = more or ended.truncated
        found = ((line_time(line), line) for line in ended.stdout.splitlines())
        lines += [line for stamp, line in found if stamp is not None and since <= stamp <= until + _CLOCK_SLACK]
    return lines, more


def line_time(line: str) -> datetime | None:
    """Return the time that a log line bears, in whole seconds; None when it bears none."""
    try:
        return datetime.strptime(line[:19], _STAMP_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None


def _complaint(stderr: str) -> str:
    return (stderr.strip().splitlines() or ["no reason given"])[-1][:200].rstrip(".")
