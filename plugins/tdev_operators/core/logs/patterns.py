"""Patterns that lines are held against, all of them in one pass, by an engine that cannot be made to backtrack.

Hyperscan reads a text once, whatever the patterns: none of them can take exponential time. What it cannot do in one
pass (look-around, back-references, possessive and atomic groups) is refused with its position.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import hyperscan

_MOST_CHARACTERS = 1000
_WORD = re.compile(r"[A-Za-z0-9_ -]+")
_INDEX = re.compile(r" ?(?:starting )?at index (\d+)\.?")
_NOT_NEEDED = "a pattern only asks whether a line has it"
_GROUPS = (
    ("(?=", "a look-ahead", "write what follows as a part of the pattern"),
    ("(?!", "a negative look-ahead", "write what may follow instead"),
    ("(?<=", "a look-behind", "write what goes before as a part of the pattern"),
    ("(?<!", "a negative look-behind", "write what may go before instead"),
    ("(?>", "an atomic group", f"write (?:...): {_NOT_NEEDED}"),
    ("(?P=", "a back-reference", "write the repeated part out"),
    ("(?(", "a condition", "write both ways with |"),
    ("(*", "a control verb", "remove it"),
)
_REFERENCE = ("a back-reference", "write the repeated part out")
_ANCHOR = ("an anchor of a whole text", "write ^ or $: they are those of a line")
_ESCAPES = dict.fromkeys("123456789kg", _REFERENCE) | dict.fromkeys("AZzG", _ANCHOR)
# What stands for no line's end, whatever goes before it.
_WITHIN_A_LINE = frozenset("dwbBS")


def refusal_of(regex: str) -> str:
    """Say why a pattern cannot be used: its position (the first character is 1) and what to change; empty: it can."""
    if len(regex) > _MOST_CHARACTERS:
        return f"it has {len(regex)} characters; write it in at most {_MOST_CHARACTERS}, or as two patterns"
    odd = next(_oddities(regex), None)
    if odd:
        position, what, remedy = odd
        return f"at position {position + 1} stands {what}, which cannot be used here; {remedy}"
    for mode in (hyperscan.HS_MODE_BLOCK, hyperscan.HS_MODE_STREAM):
        try:
            _compiled([regex], mode, 0)
        except hyperscan.error as error:
            return _complaint(str(error))
    return ""


def _complaint(said: str) -> str:
    if "empty buffer" in said:
        return "at position 1 it matches nothing at all, and so every line; let it ask for one character at least"
    if "too large" in said or "resource" in said.lower():
        return "at position 1 it is too large to compile; write smaller figures into its {}"
    found = _INDEX.search(said)
    what = _INDEX.sub("", said).strip().rstrip(".")
    return f"at position {int(found[1]) + 1 if found else 1}: {what}; mend it there"


def _oddities(regex: str) -> Iterator[tuple[int, str, str]]:
    """Yield what the engine refuses without saying where, and what would not be held against single lines."""
    for position, sign, in_class, before in _signs(regex):
        if not sign.isascii():
            escaped = "".join(f"\\x{byte:02X}" for byte in sign[-1].encode())
            yield position, f"{sign!r}, which is no ASCII character", f"write its bytes: {escaped}"
        elif not sign.isprintable():
            yield position, "a control character", "write it with a backslash; a line's end is in no line"
        elif in_class:
            continue
        elif sign[0] == "\\" and sign[1:] in _ESCAPES:
            yield position, *_ESCAPES[sign[1:]]
        elif sign == "+" and before in ("*", "+", "?", "}"):
            yield position, "a possessive quantifier", f"remove the second sign: {_NOT_NEEDED}"
        elif sign == "(":
            yield from (
                (position, what, to_do) for begins, what, to_do in _GROUPS if regex.startswith(begins, position)
            )


def _signs(regex: str) -> Iterator[tuple[int, str, bool, str]]:
    """Yield position, character (with its backslash), whether it stands in a class, and the character before it."""
    at, class_from, before = 0, -1, ""
    while at < len(regex):
        sign = regex[at : at + 2] if regex[at] == "\\" else regex[at]
        if class_from >= 0:
            yield at, sign, True, before
            if sign == "]" and at > class_from + 1 + (regex[class_from + 1 : class_from + 2] == "^"):
                class_from = -1
            before = ""
        else:
            yield at, sign, False, before
            if sign == "[":
                class_from = at
            before = sign
        at += len(sign)


def may_cross_lines(regex: str) -> bool:
    """Whether a match might hold a line's end, as far as that can be told at once: too often yes, never too often no.

    In a block of lines such a pattern may find something that no line has; each of its matches is looked at again.
    """
    if re.search(r"\(\?[a-zA-Z^-]*[sx^]", regex) or "[:" in regex or "[^" in regex:
        return True
    for _, sign, in_class, _ in _signs(regex):
        if sign[0] == "\\" and (in_class or (sign[1:].isalnum() and sign[1:] not in _WITHIN_A_LINE)):
            return True
    return False


def _shortened(regex: str) -> str:
    """Return a choice of words without those that hold another one: a line with WARNING has WARN.

    Each match costs a call; what matters is only whether a line has one.
    """
    words = regex.split("|")
    if not all(_WORD.fullmatch(word) for word in words):
        return regex
    return "|".join(
        word for word in dict.fromkeys(words) if not any(other != word and other in word for other in words)
    )


def _compiled(regexes: Sequence[str], mode: int, flags: int) -> Any:
    database = hyperscan.Database(mode=mode)
    database.compile(
        expressions=[regex.encode() for regex in regexes],
        ids=list(range(len(regexes))),
        elements=len(regexes),
        flags=[hyperscan.HS_FLAG_MULTILINE | flags] * len(regexes),
    )
    return database


@dataclass(frozen=True, slots=True)
class Patterns:
    """All patterns, compiled for blocks of lines and for one line; and, when there is one, for a line in pieces.

    `doubtful` are the numbers of those whose matches in a block have to be looked at again, line by line.
    """

    names: tuple[str, ...]
    block: Any
    line: Any
    doubtful: frozenset[int]
    regexes: tuple[str, ...]

    @classmethod
    def of(cls, regexes: dict[str, str]) -> "Patterns":
        """Compile patterns by name. They must be without a `refusal_of`."""
        texts = [_shortened(regex) for regex in regexes.values()]
        once = hyperscan.HS_FLAG_SINGLEMATCH
        return cls(
            tuple(regexes),
            _compiled(texts, hyperscan.HS_MODE_BLOCK, 0),
            _compiled(texts, hyperscan.HS_MODE_BLOCK, once),
            frozenset(number for number, regex in enumerate(texts) if may_cross_lines(regex)),
            tuple(texts),
        )

    def for_pieces(self) -> Any:
        """Return a database for one text that comes in pieces.

        Each gets its own: the binding closes a stream with the scratch space of its database, which is one thread's.
        """
        return _compiled(self.regexes, hyperscan.HS_MODE_STREAM, hyperscan.HS_FLAG_SINGLEMATCH)


def engine() -> str:
    """Return the engine's name and version."""
    return f"hyperscan {version('hyperscan')}"
