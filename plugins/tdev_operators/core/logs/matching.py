"""Which lines match which patterns: a block at a time, or a line that comes in pieces."""

import hyperscan
import numpy as np

from tdev_operators.core.logs.lines import Lines, Numbers
from tdev_operators.core.logs.patterns import Patterns

BITS = 8  # of a pattern's number
MASK = (1 << BITS) - 1
HEAD_BYTES = 1000
# A block with more matches is looked at line by line, where each pattern matches once.
_MOST_MATCHES = 128 * 1024


class Matching:
    """Matches blocks against patterns, in one thread."""

    def __init__(self, patterns: Patterns) -> None:
        self._patterns = patterns
        self._scratch, self._line_scratch = hyperscan.Scratch(patterns.block), hyperscan.Scratch(patterns.line)

    def pairs(self, block: memoryview, lines: Lines) -> Numbers:
        """Return every pair of a line and a pattern that it matches, once, as one number each, in order."""
        found: list[int] = []

        def matched(number: int, _start: int, end: int, _flags: int, _context: object) -> bool:
            found.append(end << BITS | number)
            return len(found) > _MOST_MATCHES

        try:
            self._patterns.block.scan(block, match_event_handler=matched, scratch=self._scratch)
        except hyperscan.ScanTerminated:
            return self._line_by_line(block, lines)
        packed = np.array(found, np.int64)
        of_line = np.searchsorted(lines.ends, (packed >> BITS) - 1)
        pairs = np.unique(of_line << BITS | (packed & MASK))
        doubtful = self._patterns.doubtful
        if doubtful and len(pairs):
            kept = [
                pair
                for pair in pairs.tolist()
                if pair & MASK not in doubtful or pair & MASK in self._numbers_of(block, lines, pair >> BITS)
            ]
            pairs = np.array(kept, np.int64)
        return pairs

    def _line_by_line(self, block: memoryview, lines: Lines) -> Numbers:
        pairs = [
            line << BITS | number
            for line in range(len(lines.starts))
            for number in sorted(self._numbers_of(block, lines, line))
        ]
        return np.array(pairs, np.int64)

    def _numbers_of(self, block: memoryview, lines: Lines, line: int) -> set[int]:
        """Return the numbers of the patterns that one line matches."""
        found: set[int] = set()
        self._patterns.line.scan(
            bytes(block[int(lines.starts[line]) : int(lines.ends[line])]),
            match_event_handler=lambda number, *_: found.add(number),
            scratch=self._line_scratch,
        )
        return found


class LongLine:
    """A line that is longer than a block. Its head is kept; the rest is scanned as it comes and forgotten."""

    def __init__(self, patterns: Patterns) -> None:
        self._found: set[int] = set()
        # A stream keeps neither its database nor its handler alive, and takes no scratch space when it is closed.
        self._database, self._handler = patterns.for_pieces(), self._matched
        self._stream = self._database.stream(match_event_handler=self._handler)
        self._stream.__enter__()
        self.head = b""
        self.bytes = 0

    def _matched(self, number: int, *_: object) -> None:
        self._found.add(number)

    def feed(self, piece: bytes) -> None:
        """Take the next piece, which holds no line's end."""
        self.head += piece[: HEAD_BYTES - len(self.head)]
        self.bytes += len(piece)
        self._stream.scan(piece)

    def end(self) -> set[int]:
        """Return the numbers of the patterns that it matches."""
        self._stream.close()  # what is anchored to the end is found now
        return self._found
