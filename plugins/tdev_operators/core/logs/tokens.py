"""How far a file was read, so that the next run goes on there: whatever rotation has made of the file meanwhile.

A file is known again by its inode, as long as its text begins as it did; where the inode is gone (compressed, copied)
by the beginning of its text alone: a service may begin each of its logs with the same words. One that is shorter than
what was read of it, or begins otherwise, is another one.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

# Lines begin with a stamp of milliseconds: so many bytes are hardly ever the same in two files.
HEAD_BYTES = 512


@dataclass(frozen=True, slots=True)
class Token:
    """So many bytes of a file's text were counted; `minute` is that of the last line, `family` the log's name."""

    inode: int
    offset: int
    head_bytes: int
    head: str
    minute: int
    family: str

    def begins(self, head: bytes) -> bool:
        """Whether a text with this beginning may be the one that was read."""
        return len(head) >= self.head_bytes and digest_of(head[: self.head_bytes]) == self.head

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types only."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a token."""
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Start:
    """Where reading begins: at a byte of the text, behind a line of that minute; `why` says what became of the file."""

    offset: int
    minute: int
    why: str = ""
    of: int = field(default=0, compare=False)  # the inode of the token


def start_of(
    tokens: Sequence[Token],
    *,
    inode: int,
    family: str,
    head: bytes,
    text_bytes: int | None,
    no_time: int,
    is_gone: Callable[[Token], bool] = lambda _: True,
) -> Start:
    """Return where to go on in a file. `text_bytes` is the length of its text, None where it is compressed.

    `is_gone` says whether the file of a token may have become this one, because it is not there itself any more.
    """
    same = next((token for token in tokens if token.inode == inode), None)
    if same is not None and same.begins(head) and not _is_shorter(same, text_bytes):
        return Start(same.offset, same.minute, of=inode)
    # A copy, or what gzip made of it: of two that begin alike the one of the same log.
    alike = [token for token in tokens if token.inode != inode and token.head_bytes and token.begins(head)]
    alike = [token for token in alike if not _is_shorter(token, text_bytes)]
    alike.sort(key=lambda token: (token.family != family, -token.offset))
    for token in alike:
        if is_gone(token):
            return Start(token.offset, token.minute, "rotated", token.inode)
    if same is None or not same.offset:
        return Start(0, no_time)
    return Start(0, no_time, "truncated" if same.begins(head[: same.head_bytes]) or not head else "replaced")


def _is_shorter(token: Token, text_bytes: int | None) -> bool:
    return text_bytes is not None and text_bytes < token.offset


def digest_of(head: bytes) -> str:
    """Return the fingerprint of a beginning."""
    return hashlib.sha256(head).hexdigest()[:32]


def token_of(*, inode: int, family: str, head: bytes, offset: int, minute: int) -> Token:
    """Return the token for a file that was read so far."""
    head = head[: min(HEAD_BYTES, offset)]
    return Token(inode, offset, len(head), digest_of(head), minute, family)


def renewed(tokens: Iterable[Token], read: Iterable[Token], present: Iterable[int], since: int) -> list[Token]:
    """Return the tokens to keep: those of what was read, of files that are there, and of files that are gone.

    Those last ones until their last line is older than the minute `since`: what they were packed into is known by them
    alone.
    """
    new = {token.inode: token for token in read}
    there = set(present)
    kept = (token for token in tokens if token.inode not in new and (token.inode in there or token.minute >= since))
    return [*kept, *new.values()]
