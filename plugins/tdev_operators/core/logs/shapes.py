"""Shapes of messages: lines that differ in their values only have one; one that was never seen before is news.

The algorithm is Drain (He, Zhu, Zheng, Lyu: "Drain: An Online Log Parsing Approach with Fixed Depth Tree", ICWS 2017):
a message goes down a tree by its number of words and its first words, to the most similar shape of a short list. It is
written out here, for its well-kept library, drain3, needs cachetools 4.2.1, and Airflow a newer one.
"""

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from tdev_operators.core.masking import masked_line

ANY = "<*>"
_SIMILAR = 0.5  # of the words must be the same
_DEPTH = 2  # words by which the tree parts messages
_NEWS_HOURS = 12
_MOST_SHAPES = 500  # of messages that the tree does not part
_LOOKED_AT_ONCE = 50  # lines, between two looks at the clock
_MOST_CHILDREN = 100  # of a node of the tree: further words go together
_MOST_WORDS = 40
_CHARACTERS = 300
# A word with a figure in it is a value; so is what stands behind an equals sign, or between quotes.
_VALUES = re.compile(r"\S*\d\S*|(?<==)\S+|\"[^\"]*\"|'[^']*'|\*\*\*")
# Lines that are the same but for words with figures have one shape, which is found faster than by masking them.
_FIGURES = re.compile(rb"\S*\d\S*")
_REMEMBERED = 20_000
_STAMP = re.compile(r"^\d{4}-\d\d-\d\d[T ]\S+\s+")


@dataclass(slots=True)
class Shape:
    """A shape: its words, when it was first seen (hours since 1970), its lines, and one of them (masked)."""

    words: list[str]
    first_seen: int
    lines: int = 0
    example: str = ""

    @property
    def text(self) -> str:
        """The words as one line."""
        return " ".join(self.words)


@dataclass(slots=True)
class _Node:
    children: dict[str, "_Node"] = field(default_factory=dict)
    shapes: list[Shape] = field(default_factory=list)


class Shapes:
    """All shapes that are known; takes lines for as long as its time lasts. Thread-safe.

    `seconds` bound the work, as exactly as a few dozen lines take; lines beyond it, those that a block had too many of
    a kind of, and those of too many shapes that begin alike are `left_out`.
    `known` is what `to_json` returned; `hour` is now. Where nothing was known nothing is new.
    """

    def __init__(self, known: Iterable[Sequence[Any]] = (), *, seconds: float, at_most: int, hour: int) -> None:
        self._root = _Node()
        self._lock = Lock()
        self._by_rest: dict[bytes, Shape] = {}
        self._seconds, self._at_most = seconds, at_most
        self.all: list[Shape] = []
        self.lines = self.left_out = 0
        self._hour = hour
        for text, first_seen, example in known:
            self._add(text.split(" "), first_seen).example = example
        self._first_seen = hour if self.all else 0

    def see(self, lines: Sequence[bytes], left_out: int) -> None:
        """Put lines to their shapes; `left_out` more were like these."""
        with self._lock:
            self.left_out += left_out
            for at in range(0, len(lines), _LOOKED_AT_ONCE):
                if self._seconds <= 0:
                    self.left_out += len(lines) - at
                    return
                began = time.thread_time()  # work, not waiting for a turn
                for line in lines[at : at + _LOOKED_AT_ONCE]:
                    self._put(line)
                self._seconds -= time.thread_time() - began

    @property
    def new(self) -> list[Shape]:
        """The shapes that were first seen now, the most frequent first.

        Now is half a day: what a run has kept and could no longer tell, the next try tells.
        """
        return sorted((shape for shape in self.all if self._is_new(shape)), key=lambda shape: -shape.lines)

    def _is_new(self, shape: Shape) -> bool:
        return shape.first_seen > self._hour - _NEWS_HOURS

    def to_json(self) -> list[list[Any]]:
        """Return the shapes to know the next time: those that were seen last."""
        seen_last = sorted(self.all, key=lambda shape: shape.lines > 0)  # of equal ones the order stays
        return [
            [shape.text, shape.first_seen, shape.example if self._is_new(shape) else ""]
            for shape in seen_last[-self._at_most :]
        ]

    def _put(self, line: bytes) -> None:
        rest = _FIGURES.sub(b"", line[:_CHARACTERS])
        known = self._by_rest.get(rest)
        if known is not None:
            self.lines += 1
            known.lines += 1
            return
        words = words_of(line)
        found = self._find(words)
        if found is None and not self._has_room(words):
            self.left_out += 1
            return
        self.lines += 1
        if found is None:
            found = self._add(words, self._first_seen)
        else:
            found.words = [ours if ours == theirs else ANY for ours, theirs in zip(found.words, words, strict=True)]
        found.lines += 1
        found.example = found.example or masked_line(line)
        if len(self._by_rest) < _REMEMBERED:
            self._by_rest[rest] = found

    def _leaf(self, words: Sequence[str], *, make: bool) -> _Node | None:
        node = self._root
        for key in (str(len(words)), *words[:_DEPTH]):
            child = node.children.get(key)
            if child is None and not make:
                child = node.children.get(ANY)
                if child is None:
                    return None
            elif child is None:
                key = key if len(node.children) < _MOST_CHILDREN else ANY  # noqa: PLW2901
                child = node.children.setdefault(key, _Node())
            node = child
        return node

    def _find(self, words: Sequence[str]) -> Shape | None:
        leaf = self._leaf(words, make=False)
        best, shape = 0.0, None
        for candidate in leaf.shapes if leaf else ():
            # The first words brought us here, and what stands for anything proves nothing. A shape of nothing else is
            # found by its length.
            pairs = list(zip(candidate.words, words, strict=True))[_DEPTH:]
            same = sum(ours == theirs and ours != ANY for ours, theirs in pairs)
            fixed = sum(ours != ANY for ours, _ in pairs)
            similar = same / fixed if fixed else 1.0
            if similar > best or (similar == best and shape is None):
                best, shape = similar, candidate
        return shape if shape is not None and best >= _SIMILAR else None

    def _has_room(self, words: Sequence[str]) -> bool:
        """Say whether one more shape may begin with these words; one of earlier runs makes room for it.

        Each line is compared with all shapes that begin as it does.
        """
        leaf = self._leaf(words, make=False)
        if leaf is None or len(leaf.shapes) < _MOST_SHAPES:
            return True
        oldest = next((shape for shape in leaf.shapes if not shape.lines), None)
        if oldest is None:
            return False
        leaf.shapes = [shape for shape in leaf.shapes if shape is not oldest]
        self.all = [shape for shape in self.all if shape is not oldest]
        return True

    def _add(self, words: list[str], first_seen: int) -> Shape:
        shape = Shape(words, first_seen)
        leaf = self._leaf(words, make=True)
        if leaf is not None:
            leaf.shapes.append(shape)
        self.all.append(shape)
        return shape


def words_of(line: bytes) -> list[str]:
    """Return a message's words behind its stamp, secrets masked and values replaced."""
    text = _STAMP.sub("", masked_line(line, _CHARACTERS).replace(ANY, "***"))
    return [*_VALUES.sub(ANY, text).split(" ")[:_MOST_WORDS]]
