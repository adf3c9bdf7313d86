"""What a block of lines says about itself: where lines begin, when they were written, how bad they are.

A line is `2026-11-23T09:00:00.123Z LEVEL component message` (a blank may stand in place of the T). Moments are minutes
since 1970. Nothing here works line by line: lines of one minute follow each other, and a block has few minutes.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Eights = npt.NDArray[np.uint64]

NO_TIME = -1
_NEWLINE, _BLANK = 10, 32
_STAMP_BYTES = 16  # 2026-11-23T09:00
_LONGEST_STAMP = 40
_SECONDS_BYTES = 19  # 2026-11-23T09:00:00
_MOST_FORMS = 32
_DATE_BYTES = 11  # with the T, or the blank, behind it
# A figure is 0x30 to 0x39: its upper half is told by a mask.
_DATE_MASK, _DATE = (int.from_bytes(each, "little") for each in (b"\xf0\xf0\xf0\xf0\xff\xf0\xf0\xff", b"0000-00-"))
_TIME_MASK = int.from_bytes(b"\xf0\xf0\xff\xf0\xf0\xff\xf0\xf0", "little")
_TIMES = tuple(int.from_bytes(each, "little") for each in (b"00T00:00", b"00 00:00"))

BEGINNING_BYTES = 32
_EIGHT = 8
_FIRST_BYTES = np.array([(1 << 8 * count) - 1 for count in range(_EIGHT + 1)], np.uint64)
_MIXER = np.uint64(0x9E3779B97F4A7C15)  # odd, its bits as even as can be: of the golden section

LEVELS = {ord(name[0]): name for name in ("TRACE", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "FATAL")}
OTHER = "other"
_BAD = (ord("W"), ord("E"), ord("C"), ord("F"))


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of a block, which ends with a line's end.

    Stretch i begins at line `stretches[i]` and has the minute `minutes[i]`; lines without a stamp belong to the line
    before them. `impossible` counts stamps that are no moment (a 31st of February). `stamp_bytes` are the lengths of
    the lines' stamps, of lines without one that of the first stamp, 0 where there is none; `letters` are the first
    ones of the stamped lines' levels, 0 where none stands behind the stamp.
    """

    text: Bytes
    starts: Numbers
    ends: Numbers
    stretches: Numbers
    minutes: Numbers
    stamped: Numbers
    letters: Bytes
    impossible: int
    stamp_bytes: Bytes

    @property
    def unstamped(self) -> int:
        """How many lines bear no time of their own."""
        return len(self.starts) - len(self.stamped) + self.impossible

    def stretch_of(self, lines: Numbers) -> Numbers:
        """Return the stretch that each line lies in."""
        return np.searchsorted(self.stretches, lines, "right") - 1

    def lengths(self) -> Numbers:
        """Return how many lines each stretch has."""
        return np.diff(self.stretches, append=len(self.starts))

    def bad_lines(self) -> Numbers:
        """Return the lines of level WARNING and worse."""
        bad = self.letters == _BAD[0]
        for letter in _BAD[1:]:
            bad |= self.letters == letter
        found: Numbers = self.stamped[bad]
        return found


def line_ends(block: memoryview, mask: npt.NDArray[np.bool_]) -> Numbers:
    """Return the offsets of a block's line ends; `mask` is room for as many bytes."""
    room = mask[: len(block)]
    np.equal(np.frombuffer(block, np.uint8), _NEWLINE, out=room)
    return np.flatnonzero(room)


def lines_of(block: memoryview, ends: Numbers, *, planted: int = 0, before: int = NO_TIME) -> Lines:
    """Look at a block's lines. The first `planted` ones have no time; `before` is the minute of the line before."""
    text = np.frombuffer(block, np.uint8)
    starts = np.empty(len(ends), np.int64)
    if len(starts):
        starts[0] = 0
        starts[1:] = ends[:-1] + 1
    first, second = _stamps(block, starts)
    first[:planted] = 0
    stamped, stretches, minutes, impossible = _stretches(first, second)
    stretches = np.concatenate(([0, planted] if planted else [0], stretches))
    minutes = np.concatenate(([NO_TIME, before] if planted else [before], minutes))
    stamp_bytes = _stamp_bytes(block, text, starts, stamped)
    letters = _letters(text, starts, stamped, stamp_bytes)
    return Lines(text, starts, ends, stretches, minutes, stamped, letters, impossible, stamp_bytes)


def _letters(text: Bytes, starts: Numbers, stamped: Numbers, stamp_bytes: Bytes) -> Bytes:
    lengths = stamp_bytes[stamped]
    blanks = np.minimum(starts[stamped] + lengths, len(text) - 2)
    letters: Bytes = text[blanks + 1]
    letters[(text[blanks] != _BLANK) | (lengths == 0)] = 0
    return letters


def _stamps(block: memoryview, starts: Numbers) -> tuple[Eights, Eights]:
    """Return the first eight bytes of each line and the next eight, as numbers; of lines that have so many."""
    whole = int(np.searchsorted(starts, len(block) - _STAMP_BYTES, "right")) if len(block) >= _STAMP_BYTES else 0
    if not whole:
        return np.empty(0, np.uint64), np.empty(0, np.uint64)
    eights = _eights(block)
    return eights[starts[:whole]], eights[starts[:whole] + 8]


def _eights(block: memoryview) -> Eights:
    """Return the eight bytes at each offset as a number; nothing is copied."""
    return np.ndarray((len(block) - 7,), np.dtype("<u8"), buffer=block, strides=(1,))


def _stretches(first: Eights, second: Eights) -> tuple[Numbers, Numbers, Numbers, int]:
    """Return the lines with a stamp, where the minute changes, those minutes, and how many stamps are no moment.

    Only where the bytes change they are looked at.
    """
    runs = _changes(first, second)
    lengths = np.diff(runs, append=len(first))
    is_stamp = (first[runs] & np.uint64(_DATE_MASK)) == np.uint64(_DATE)
    times = second[runs] & np.uint64(_TIME_MASK)
    is_stamp &= (times == np.uint64(_TIMES[0])) | (times == np.uint64(_TIMES[1]))
    stamped = np.arange(len(first)) if is_stamp.all() else np.flatnonzero(np.repeat(is_stamp, lengths))
    runs = runs[is_stamp]
    changes = _changes(first[runs], second[runs])
    found = map(_minute, first[runs[changes]].tolist(), second[runs[changes]].tolist())
    minutes = np.fromiter(found, np.int64, len(changes))
    real = minutes != NO_TIME
    impossible = 0
    if not real.all():
        impossible = int(np.add.reduceat(lengths[is_stamp], changes)[~real].sum())
    return stamped, runs[changes[real]], minutes[real], impossible


def _changes(first: Eights, second: Eights) -> Numbers:
    """Return the places where one of the two is another one than before; the first place is one."""
    if not len(first):
        return np.empty(0, np.int64)
    changes = np.flatnonzero((first[1:] != first[:-1]) | (second[1:] != second[:-1])) + 1
    return np.concatenate(([0], changes))


def fingerprints_of(block: memoryview, lines: Lines, chosen: Numbers) -> Eights:
    """Return a number for what stands behind the stamp of lines: level, component, how the message begins.

    It is made of `BEGINNING_BYTES`, or of fewer where the line ends: equal bytes have equal numbers.
    """
    if len(block) < _EIGHT:
        return np.zeros(len(chosen), np.uint64)
    eights = _eights(block)
    at = lines.starts[chosen] + lines.stamp_bytes[chosen]
    left = lines.ends[chosen] - at
    found = np.zeros(len(chosen), np.uint64)
    for offset in range(0, BEGINNING_BYTES, _EIGHT):
        there = eights[np.minimum(at + offset, len(eights) - 1)] & _FIRST_BYTES[np.clip(left - offset, 0, _EIGHT)]
        found = (found ^ there) * _MIXER
        found ^= found >> np.uint64(29)
    return found


@lru_cache(maxsize=20_000)
def _minute(first: int, second: int) -> int:
    text = first.to_bytes(8, "little") + second.to_bytes(8, "little")
    try:
        year, month, day = int(text[:4]), int(text[5:7]), int(text[8:10])
        moment = datetime(year, month, day, int(text[11:13]), int(text[14:16]), tzinfo=UTC)
    except ValueError:
        return NO_TIME
    return int(moment.timestamp()) // 60


def _stamp_bytes(block: memoryview, text: Bytes, starts: Numbers, stamped: Numbers) -> Bytes:
    """Return the lengths of stamps, for each line.

    A block has few forms of them: those of the programs that write into it. The lines of one form are found together,
    by what stands behind the seconds and where the blank is.
    """
    if not len(stamped):
        return np.zeros(len(starts), np.uint8)
    begins, left = starts[stamped], stamped
    found = np.full(len(starts), _first_stamp(block, int(begins[0])), np.uint8)
    found[stamped] = 0
    for _ in range(_MOST_FORMS):
        length = _first_stamp(block, int(begins[0]))
        same = _at(text, begins, length) == _BLANK
        if length > _SECONDS_BYTES:
            behind, last = _at(text, begins, _SECONDS_BYTES), _at(text, begins, length - 1)
            same &= (behind == behind[0]) & ((last == last[0]) | (_is_figure(last) & _is_figure(last[:1])))
        same[0] = True  # also where no blank is: it has none
        found[left[same]] = length
        if same.all():
            break
        begins, left = begins[~same], left[~same]
    return found


def _first_stamp(block: memoryview, start: int) -> int:
    return max(0, bytes(block[start : start + _LONGEST_STAMP]).find(b" ", _DATE_BYTES))


def _at(text: Bytes, begins: Numbers, offset: int) -> Bytes:
    return text[np.minimum(begins + offset, len(text) - 1)]


def _is_figure(text: Bytes) -> npt.NDArray[np.bool_]:
    return (text >= ord("0")) & (text <= ord("9"))
