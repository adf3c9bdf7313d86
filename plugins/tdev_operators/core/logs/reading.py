"""Reading the logs of a host: every file that was written to in the window, from where the last run left it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from tdev_operators.core.errors import InputError, TargetTimeoutError, TdevError
from tdev_operators.core.health.log_lines import LogFile, log_files
from tdev_operators.core.health.side_by_side import side_by_side
from tdev_operators.core.logs.counting import Counting, Seen, Shapes, Window
from tdev_operators.core.logs.lines import NO_TIME
from tdev_operators.core.logs.patterns import Patterns
from tdev_operators.core.logs.texts import ShorterError, TextError, is_packed, text_of
from tdev_operators.core.logs.tokens import HEAD_BYTES, Token, renewed, start_of, token_of
from tdev_operators.core.ports import StreamingHost
from tdev_operators.core.reporting.escaping import one_line

# Files of a host at a time. Unpacking, and most of what is done with a block, leaves the interpreter to the other one;
# a third would only wait for it.
_AT_ONCE = 2
# Rotation takes seconds. A file that is another one after three looks is rotated all the time.
_ROUNDS = 3
_HEAD_SECONDS = 30.0
# So much of a packed file holds the beginning of its text, even when that cannot be packed.
_PACKED_HEAD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Job:
    """What is counted, and until when (`time.monotonic`). `planted` are the patterns' examples, in their order."""

    patterns: Patterns
    window: Window
    planted: tuple[bytes, ...]
    deadline: float
    shapes: Shapes | None = None

    def counting(self, before: int = NO_TIME) -> Counting:
        """Return the counting of one more stream."""
        return Counting(self.patterns, self.window, planted=self.planted, before=before, shapes=self.shapes)

    def left(self) -> float:
        """Return how many seconds are left.

        Raises:
            TargetTimeoutError: none are.
        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TargetTimeoutError("the time for reading (logs.analysis.minutes) was over; the next run goes on")
        return left

    def problem_of(self, seen: Seen) -> str:
        """Say why what was seen counts nowhere, although there were lines; empty: it counts."""
        if seen.lines and seen.last_minute == NO_TIME:
            return (
                f"none of its {seen.lines:,} lines begins with a time (2026-11-23T09:00:00Z), and nobody knows which "
                "of them count"
            )
        return ""

    def blind_to(self, seen: Seen) -> list[str]:
        """Return the patterns whose planted line was not counted."""
        return [name for at, name in enumerate(self.patterns.names) if (at, at) not in seen.planted]


@dataclass(slots=True)
class SourceRead:
    """What was read of one source: file by file, what could not be, and what there is to say about it."""

    title: str
    read: dict[str, Seen] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)

    def name_of(self, path: str) -> str:
        """Return how a file is called in reports."""
        return f"{self.title}: {one_line(path.rpartition('/')[2], 100)}"


@dataclass(frozen=True, slots=True)
class _Part:
    """What was read of a file; `problem` is why not all of it."""

    seen: Seen
    token: Token
    why: str = ""
    problem: str = ""
    of: int = 0  # the inode whose token said where to begin


def read_host(host: StreamingHost, directory: str, tokens: Sequence[Token], job: Job) -> SourceRead:
    """Read a host's log folder. What is rotated meanwhile is looked for under its new name.

    Raises:
        TdevError: the folder cannot be listed.
    """
    source = SourceRead(f"{host.name}:{directory}")
    known = list(tokens)
    files, odd = _listed(host, directory)
    source.skipped |= {source.name_of(path): "its name holds control characters; rename it" for path in odd}
    done: dict[int, _Part] = {}
    claimed: set[int] = set()
    for look in range(_ROUNDS):
        being_packed = _being_packed(files)
        waiting = [file for file in _waiting(files, done, job.window) if look or file.path not in being_packed]
        if look and not waiting:
            break
        parts = side_by_side(
            {file: partial(_read, host, file, known, files, job) for file in waiting}, at_most=_AT_ONCE
        )
        files, _ = _listed(host, directory)
        now, sizes = {file.path: file.inode for file in files}, {file.inode: file.size_bytes for file in files}
        for file, part in parts.items():
            name = source.name_of(file.path)
            if now.get(file.path) != file.inode:
                source.told.append(f"{name} was rotated while it was read, and read again under its new name.")
            elif file.compressed and sizes[file.inode] != file.size_bytes:
                source.told.append(f"{name} was being packed while it was read, and read again.")
            elif isinstance(part, TdevError):
                source.skipped[name] = str(part)
                done[file.inode] = _Part(Seen(), _kept(known, file))
            elif part.problem and file.path in _being_packed(files):
                source.told.append(f"{name} was being packed while it was read; what it is made of was read.")
                done[file.inode] = _Part(Seen(), _kept(known, file))
            else:
                done[file.inode] = part
                claimed.add(part.of)
                _note(source, name, part)
        # All that the run began with stays until its end: a log that vanishes now comes to light as another file.
        there = {file.inode for file in files}
        read = [part.token for part in done.values()]
        known = _unclaimed(renewed(tokens, read, (token.inode for token in tokens), job.window.since), claimed - there)
    for file in _waiting(files, done, job.window):
        source.skipped[source.name_of(file.path)] = (
            "it was another file each time that it was read; see what rotates it"
        )
    source.tokens = _unclaimed(renewed(known, read, there, job.window.since), claimed - there)
    if not source.read and not source.skipped:
        source.skipped[source.title] = "no log there was written to in the last hours; see whether its writers run"
    return source


def _listed(host: StreamingHost, directory: str) -> tuple[list[LogFile], list[str]]:
    """List the logs; once more where that failed, for a file that is renamed meanwhile makes find complain."""
    try:
        return log_files(host, directory)
    except InputError:
        return log_files(host, directory)


def _being_packed(files: Sequence[LogFile]) -> set[str]:
    """Return the .gz that stand beside their plain file: not whole yet, or a copy that is known by its beginning."""
    plain = {file.path for file in files}
    return {file.path for file in files if file.compressed and file.path.removesuffix(".gz") in plain}


def _waiting(files: Sequence[LogFile], done: Mapping[int, object], window: Window) -> list[LogFile]:
    """Return the files that have to be read."""
    return [file for file in files if file.inode not in done and file.modified.timestamp() >= window.since * 60]


def _unclaimed(tokens: Sequence[Token], claimed: set[int]) -> list[Token]:
    """Leave out the tokens of files that came to light under another inode: no second file goes on from there."""
    return [token for token in tokens if token.inode not in claimed]


def _is_gone(
    host: StreamingHost, token: Token, file: LogFile, files: Sequence[LogFile], tokens: Sequence[Token]
) -> bool:
    """Say whether a file that begins alike may be what became of the one that a token is of.

    Not while that one is there and as it was: a service may begin each of its logs with the same words. A file that is
    being written is a copy only where no generation is there that was never read.
    """
    own = next((other for other in files if other.inode == token.inode), None)
    if own is None:
        known = {each.inode for each in tokens}
        unread = (other for other in files if other.inode not in known and other.family == token.family)
        return not file.path.endswith(".log") or all(other.path.endswith(".log") for other in unread)
    if file.path == f"{own.path}.gz":
        return True
    head, packed = _head(host, own)
    return not token.begins(head) or (not packed and own.size_bytes < token.offset)


def _kept(tokens: Sequence[Token], file: LogFile) -> Token:
    unread = Token(file.inode, 0, 0, "", NO_TIME, file.family)
    return next((token for token in tokens if token.inode == file.inode), unread)


def _note(source: SourceRead, name: str, part: _Part) -> None:
    source.read[name] = part.seen
    if part.problem:
        source.skipped[name] = part.problem
    if part.why in ("truncated", "replaced"):
        source.told.append(
            f"{name} was {part.why} since it was last read; what was written before that and not read is not counted."
        )


def _read(host: StreamingHost, file: LogFile, tokens: Sequence[Token], files: Sequence[LogFile], job: Job) -> _Part:
    head, packed = _head(host, file)
    start = start_of(
        tokens,
        inode=file.inode,
        family=file.family,
        head=head,
        text_bytes=None if packed else file.size_bytes,
        no_time=NO_TIME,
        is_gone=lambda token: _is_gone(host, token, file, files, tokens),
    )
    counting = job.counting(start.minute)
    problem = ""
    received = 0
    skip = 0 if packed else start.offset
    try:
        with _bytes_of(host, file.path, skip, file.size_bytes - skip, job.left()) as chunks:
            for text in text_of(chunks, skip=start.offset - skip, begins=not skip):
                counting.feed(text)
                received += len(text)
                job.left()
    except ShorterError:  # of two that begin alike it is the other one, or a new one
        return _read(host, file, [token for token in tokens if token.offset < start.offset], files, job)
    except (TextError, TdevError) as error:
        problem = str(error)
    if not packed and not problem and received < file.size_bytes - skip:
        problem = f"it was cut off at byte {skip + received:,} while it was read; what is behind that is lost"
    seen = counting.end(is_whole=packed or not file.path.endswith(".log"))
    problem = problem or job.problem_of(seen)
    offset = start.offset + seen.bytes
    token = token_of(inode=file.inode, family=file.family, head=head, offset=offset, minute=seen.last_minute)
    return _Part(seen, token, start.why, problem, start.of)


def _head(host: StreamingHost, file: LogFile) -> tuple[bytes, bool]:
    """Return the beginning of a file's text, and whether it is packed."""
    with _bytes_of(host, file.path, 0, _PACKED_HEAD_BYTES, _HEAD_SECONDS) as chunks:
        raw = b"".join(chunks)
    try:
        packed = is_packed(raw)
    except TextError:
        return b"", True  # why is said when it is read
    if not packed:
        return raw[:HEAD_BYTES], False
    head = b""
    try:
        for piece in islice(text_of(iter([raw])), HEAD_BYTES):
            head += piece
            if len(head) >= HEAD_BYTES:
                break
    except TextError:
        pass  # its end is not among these bytes
    return head[:HEAD_BYTES], True


@contextmanager
def _bytes_of(host: StreamingHost, path: str, skip: int, count: int, seconds: float) -> Iterator[Iterator[bytes]]:
    """Stream a part of a file, which must be no link: who may write into the folder would choose what is read."""
    flags = "nofollow,skip_bytes,count_bytes,fullblock"
    argv = ["dd", f"if={path}", "bs=1M", f"iflag={flags}", f"skip={skip}", f"count={max(0, count)}", "status=none"]
    with host.stream(argv, timeout_seconds=seconds) as chunks:
        yield chunks
