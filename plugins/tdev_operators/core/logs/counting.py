"""Counting lines in a stream of bytes, in bounded memory: what matches, when it was written, how bad it is.

The stream is cut into blocks at line ends. A block is scanned once for all patterns; then each match is put to its
line, so that a line counts once for a pattern, however often it matches. A line that is longer than a block is scanned
in pieces, and counts once as well. The first lines of a stream may be planted: their matches are proof, not findings.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import BoundedSemaphore
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tdev_operators.core.logs.lines import (
    LEVELS,
    NO_TIME,
    OTHER,
    Lines,
    Numbers,
    fingerprints_of,
    line_ends,
    lines_of,
)
from tdev_operators.core.logs.matching import BITS, HEAD_BYTES, MASK, LongLine, Matching
from tdev_operators.core.logs.parts import PART_BITS, PART_MASK, Parts
from tdev_operators.core.logs.patterns import Patterns
from tdev_operators.core.logs.tally import Tally
from tdev_operators.core.masking import masked_line

BLOCK_BYTES = 4 * 1024 * 1024
# A block of more and shorter lines is looked at in parts: each line costs some 100 bytes meanwhile.
_MOST_LINES = 64 * 1024
_MINUTES = 60
# Of lines of a block that begin alike, the first and the last are looked at for their shapes.
_KNOWN_KINDS_EVERY = 4  # blocks
_MOST_KINDS = 10_000
# So many blocks are looked at together, whatever the number of streams: each takes some megabytes.
_TURN = BoundedSemaphore(4)


class Shapes(Protocol):
    """Takes lines of level WARNING and worse, for their shapes."""

    def see(self, lines: Sequence[bytes], left_out: int) -> None:
        """Take lines; so many others were left out."""


@dataclass(frozen=True, slots=True)
class Window:
    """The minutes whose lines count: from `since` on, and up to `until`; later ones are from the future.

    `until_now` is this minute. A clock that steps back by `back` minutes or less is several writers in one file.
    """

    since: int
    until: int
    back: int = 5
    until_now: int = 0


@dataclass(slots=True)
class Seen:
    """What a stream held. `bytes` are those of whole lines; `planted` says which planted lines were matched by what."""

    tally: Tally = field(default_factory=Tally)
    bytes: int = 0
    lines: int = 0
    unstamped: int = 0
    future: int = 0
    steps_back: int = 0
    step_back: tuple[int, int] | None = None
    long_lines: int = 0
    last_minute: int = NO_TIME
    planted: set[tuple[int, int]] = field(default_factory=set)


class Counting:
    """One stream: give it all chunks, then `end` it. `before` is the minute of the line before the first."""

    def __init__(
        self,
        patterns: Patterns,
        window: Window,
        *,
        planted: Sequence[bytes] = (),
        before: int = NO_TIME,
        shapes: Shapes | None = None,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self._patterns, self._window, self._shapes = patterns, window, shapes
        self._matching = Matching(patterns)
        head = b"".join(line + b"\n" for line in planted)
        # Filled again and again: memory that is asked for anew has to be made by the kernel each time.
        self._buffer = bytearray(max(block_bytes, len(head)))
        self._view, self._mask = memoryview(self._buffer), np.empty(len(self._buffer), np.bool_)
        self._held = 0
        self._long: LongLine | None = None
        self._planted, self._planted_left = len(planted), len(planted)
        self._parts = Parts()
        self._kinds: set[int] = set()
        self._shown = 0
        self._firsts: dict[tuple[int, str], bytes] = {}
        self._lasts: dict[tuple[int, str], bytes] = {}
        self.seen = Seen(last_minute=before)
        self.feed(head)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        at = 0
        while at < len(chunk):
            if self._long is not None:
                at = self._feed_long_line(self._long, chunk, at)
                continue
            piece = memoryview(chunk)[at : at + len(self._buffer) - self._held]
            self._view[self._held : self._held + len(piece)] = piece
            self._held += len(piece)
            at += len(piece)
            if self._held == len(self._buffer):
                self._flush()

    def end(self, *, is_whole: bool) -> Seen:
        """Count what is left, and return what was seen.

        `is_whole`: nothing will be written behind it, so that bytes without a line's end are a line, too.
        """
        if self._held:
            self._flush(grows=False)
        if self._long is not None and is_whole:
            self._end_long_line(self._long, newline=0)
        elif self._held and is_whole:
            self._block(memoryview(bytes(self._view[: self._held]) + b"\n"))
            self.seen.bytes -= 1
        for (hour, name), line in self._firsts.items():
            cell = self.seen.tally.cell(name, hour)
            cell.first, cell.last = masked_line(line), masked_line(self._lasts[hour, name])
        return self.seen

    def _feed_long_line(self, long: LongLine, chunk: bytes, at: int) -> int:
        """Feed a long line, and return where it ends."""
        end = chunk.find(b"\n", at)
        if end < 0:
            long.feed(chunk[at:])
            return len(chunk)
        long.feed(chunk[at:end])
        self._end_long_line(long, newline=1)
        return end + 1

    def _flush(self, *, grows: bool = True) -> None:
        cut = self._buffer.rfind(b"\n", 0, self._held) + 1
        if cut:
            self._block(self._view[:cut])
            rest = self._held - cut
            self._view[:rest] = bytes(self._view[cut : self._held])
            self._held = rest
        elif grows:
            self._long = LongLine(self._patterns)
            self._long.feed(bytes(self._view[: self._held]))
            self._held = 0

    def _block(self, block: memoryview) -> None:
        """Count a block of whole lines."""
        with _TURN:
            mask = self._mask if len(block) <= len(self._mask) else np.empty(len(block), np.bool_)
            ends = line_ends(block, mask)
            if len(ends) <= _MOST_LINES:
                self._count(block, ends)
                return
            begin = 0
            for first in range(0, len(ends), _MOST_LINES):
                end = int(ends[min(first + _MOST_LINES, len(ends)) - 1]) + 1
                self._count(block[begin:end], ends[first : first + _MOST_LINES] - begin)
                begin = end

    def _count(self, block: memoryview, ends: Numbers) -> None:
        seen = self.seen
        planted = min(self._planted_left, len(ends))
        number_of_first = self._planted - self._planted_left
        self._planted_left -= planted
        lines = lines_of(block, ends, planted=planted, before=seen.last_minute)
        seen.bytes += len(block) - (int(ends[planted - 1]) + 1 if planted else 0)
        seen.lines += len(ends) - planted
        seen.unstamped += lines.unstamped - planted
        counts = self._tell_times(lines)
        pairs = self._matching.pairs(block, lines)
        if planted:
            mine = pairs[(pairs >> BITS) < planted]
            seen.planted.update((number_of_first + (pair >> BITS), pair & MASK) for pair in mine.tolist())
        self._keep_matches(block, lines, pairs, counts)
        if self._shapes is not None:
            self._show(self._shapes, block, lines, counts)

    def _tell_times(self, lines: Lines) -> npt.NDArray[np.bool_]:
        """Count lines by hour and level; return which stretches lie in the window."""
        seen, window, minutes = self.seen, self._window, lines.minutes
        counts = (minutes >= window.since) & (minutes <= window.until)
        lengths = lines.lengths()
        for minute, length in zip(minutes[counts].tolist(), lengths[counts].tolist(), strict=True):
            seen.tally.lines[minute // _MINUTES] += length
        seen.future += int(lengths[minutes > window.until].sum())
        back = np.flatnonzero(minutes[1:] < minutes[:-1] - window.back)
        back = back[minutes[back + 1] != NO_TIME]
        seen.steps_back += len(back)
        if len(back) and seen.step_back is None:
            seen.step_back = int(minutes[back[0]]), int(minutes[back[0] + 1])
        self._tell_levels(lines, counts)
        if len(minutes):
            seen.last_minute = int(minutes[-1])
        return counts

    def _tell_levels(self, lines: Lines, counts: npt.NDArray[np.bool_]) -> None:
        hours = np.where(counts, lines.minutes // _MINUTES, NO_TIME)
        different = np.unique(hours)
        of_line = hours[lines.stretch_of(lines.stamped)] if len(different) > 1 else None
        for hour in different.tolist():
            if hour == NO_TIME:
                continue
            levels = self.seen.tally.levels.setdefault(hour, Counter())
            by_letter = np.bincount(lines.letters if of_line is None else lines.letters[of_line == hour])
            for letter in np.flatnonzero(by_letter).tolist():
                levels[LEVELS.get(letter, OTHER)] += int(by_letter[letter])

    def _keep_matches(self, block: memoryview, lines: Lines, pairs: Numbers, counts: npt.NDArray[np.bool_]) -> None:
        stretch = lines.stretch_of(pairs >> BITS)
        inside = counts[stretch]
        pairs, stretch = pairs[inside], stretch[inside]
        if not len(pairs):
            return
        number = pairs & MASK
        matched, at = np.unique(pairs >> BITS, return_inverse=True)
        part = self._parts.numbers(block, lines, matched)[at]
        hours, hour_at = np.unique(lines.minutes[stretch] // _MINUTES, return_inverse=True)
        place = hour_at << BITS | number
        for one, count in zip(
            *(each.tolist() for each in np.unique(place << PART_BITS | part, return_counts=True)), strict=True
        ):
            hour, name = self._hour_and_name(hours, one >> PART_BITS)
            cell = self.seen.tally.cell(name, hour)
            cell.lines += count
            cell.parts[self._parts.names[one & PART_MASK]] += count
        places, firsts = np.unique(place, return_index=True)
        _, lasts = np.unique(place[::-1], return_index=True)
        for one, first, last in zip(places.tolist(), firsts.tolist(), lasts.tolist(), strict=True):
            key = self._hour_and_name(hours, one)
            if key not in self._firsts:
                self._firsts[key] = _head(block, lines, int(matched[at[first]]))
            self._lasts[key] = _head(block, lines, int(matched[at[len(at) - 1 - last]]))

    def _hour_and_name(self, hours: Numbers, code: int) -> tuple[int, str]:
        return int(hours[code >> BITS]), self._patterns.names[code & MASK]

    def _show(self, shapes: Shapes, block: memoryview, lines: Lines, counts: npt.NDArray[np.bool_]) -> None:
        """Give lines of level WARNING and worse to whoever looks at shapes.

        Two of each kind that a block has; of kinds that were there before only in every fourth block.
        """
        bad = lines.bad_lines()
        bad = bad[counts[lines.stretch_of(bad)]]
        if not len(bad):
            return
        kinds = fingerprints_of(block, lines, bad)
        different, firsts = np.unique(kinds, return_index=True)
        _, lasts = np.unique(kinds[::-1], return_index=True)
        at = np.concatenate((firsts, len(bad) - 1 - lasts))
        self._shown += 1
        if self._shown % _KNOWN_KINDS_EVERY:
            at = at[[kind not in self._kinds for kind in different.tolist()] * 2]
        if len(self._kinds) < _MOST_KINDS:
            self._kinds.update(different.tolist())
        chosen = bad[np.unique(at)]
        shapes.see([_head(block, lines, line) for line in chosen.tolist()], len(bad) - len(chosen))

    def _end_long_line(self, long: LongLine, *, newline: int) -> None:
        self._long = None
        numbers, seen = long.end(), self.seen
        head = memoryview(long.head + b"\n")
        lines = lines_of(head, line_ends(head, np.empty(len(head), np.bool_)), before=seen.last_minute)
        seen.bytes += long.bytes + newline
        seen.lines += 1
        seen.long_lines += 1
        seen.unstamped += lines.unstamped
        counts = self._tell_times(lines)
        pairs = np.array(sorted(numbers), np.int64)
        self._keep_matches(head, lines, pairs, counts)


def _head(block: memoryview, lines: Lines, line: int) -> bytes:
    start = int(lines.starts[line])
    return bytes(block[start : min(int(lines.ends[line]), start + HEAD_BYTES)])
