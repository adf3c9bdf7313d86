"""Level and component of lines, by how they begin: lines that begin alike have the same."""

import re

import numpy as np

from tdev_operators.core.logs.lines import BEGINNING_BYTES, OTHER, Lines, Numbers, fingerprints_of

# Bits of the number of a level and component; what comes after the first thousand is `other`.
PART_BITS = 10
PART_MASK = (1 << PART_BITS) - 1
_PART_BYTES = 80
_TWO_WORDS = re.compile(rb" *([^ ]+) +([^ ]+) ")
_PART = re.compile(r"[A-Za-z][\w.:/@-]{0,19} [\w.:/@#-]{1,40}")
_BRACKETS = str.maketrans("", "", '[](),"')
_MOST_BEGINNINGS = 10_000


class Parts:
    """Level and component of lines, numbered as they come."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[bytes, ...], int] = {}  # of those that have a name: not more than there are
        self._of_beginnings: dict[int, int] = {}
        self.names = [OTHER]

    def numbers(self, block: memoryview, lines: Lines, chosen: Numbers) -> Numbers:
        """Return the numbers of the level and component of lines.

        Lines that begin alike have the same, unless what they begin with is too short to hold both.
        """
        if not lines.stamp_bytes.any():
            return np.zeros(len(chosen), np.int64)
        beginnings, firsts, places = np.unique(
            fingerprints_of(block, lines, chosen), return_index=True, return_inverse=True
        )
        if len(self._of_beginnings) > _MOST_BEGINNINGS:
            self._of_beginnings.clear()
        known = self._of_beginnings
        for beginning, first in zip(beginnings.tolist(), firsts.tolist(), strict=True):
            if beginning not in known:
                known[beginning] = self._number(block, lines, int(chosen[first]), BEGINNING_BYTES)
        found = np.array([known[each] for each in beginnings.tolist()], np.int64)[places]
        for at in np.flatnonzero(found < 0).tolist():
            found[at] = max(0, self._number(block, lines, int(chosen[at]), _PART_BYTES))
        return found

    def _number(self, block: memoryview, lines: Lines, line: int, most: int) -> int:
        """Return the number of a line's level and component; -1 where so many bytes do not hold both."""
        begin, end = int(lines.starts[line]) + int(lines.stamp_bytes[line]), int(lines.ends[line])
        text = bytes(block[begin : min(end, begin + most)]) + (b" " if end <= begin + most else b"")
        words = _TWO_WORDS.match(text)
        if words is None:
            return -1
        number = self._numbers.get(words.groups())
        if number is None:
            number = self._new(words.groups())
            if number:  # a stranger may write a new word behind the level in each line
                self._numbers[words.groups()] = number
        return number

    def _new(self, words: tuple[bytes, ...]) -> int:
        name = b" ".join(words).decode("ascii", "replace").translate(_BRACKETS)
        if not _PART.fullmatch(name) or len(self.names) > PART_MASK:
            return 0
        self.names.append(name)
        return len(self.names) - 1
