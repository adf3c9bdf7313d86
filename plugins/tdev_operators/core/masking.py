"""Text without what looks like a secret in it: lines of logs and programs were written by strangers, and are kept."""

import re

from tdev_operators.core.reporting.escaping import one_line

SHOWN_CHARACTERS = 200
_MASK = "***"
_KEYS = (
    r"pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?|cookie|session"
)
_VALUE = r"\"[^\"]*\"?|'[^']*'?|[^\s,;&)}\]]+"
# Each is linear: no repetition stands within another.
_SECRETS = (
    (re.compile(r"(?<=://)([^\s/:@]{0,200}:)[^\s/]{1,500}(?=@)"), rf"\1{_MASK}"),  # the password of a URL or DSN
    (re.compile(r"(?i)\b(bearer|basic|digest|negotiate)\s+[^\s\"',;]{6,}"), rf"\1 {_MASK}"),
    (
        re.compile(rf"(?i)([\w-]{{0,30}}(?:{_KEYS})[\w-]{{0,30}}[\"']?\s{{0,3}}[=:]\s{{0,3}})(?:{_VALUE})"),
        rf"\1{_MASK}",
    ),
    (re.compile(rf"(?i)(--?[\w-]{{0,30}}(?:{_KEYS})[\w-]{{0,30}}\s{{1,3}})(?:{_VALUE})"), rf"\1{_MASK}"),  # an option
    (re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]*){1,2}"), _MASK),  # a JSON web token
    (re.compile(r"\b(?:A3T[A-Z0-9]|AKIA|ASIA)[A-Z0-9]{12,}\b"), _MASK),
    (re.compile(r"\b(?:gh[oprsu]_|github_pat_|glpat-|xox[abprs]-|sk-)[\w-]{8,}"), _MASK),
    (re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*"), _MASK),
    # Longer than any number, UUID or SHA-1 that one reads in a log, and both letters and figures.
    (re.compile(r"(?<![\w+/=-])(?=[\w+/=-]{0,60}\d)(?=[\w+/=-]{0,60}[A-Za-z])[\w+=-]{41,}(?![\w+/=-])"), _MASK),
)


def masked(text: str) -> str:
    """Return the text with `***` in place of keys, tokens, passwords in addresses, and what a word announces.

    Rather too much than too little goes: `token: expired` becomes `token: ***`.
    """
    for pattern, mask in _SECRETS:
        text = pattern.sub(mask, text)
    return text


def masked_line(line: bytes | str, limit: int = SHOWN_CHARACTERS) -> str:
    """Return a line as it may be shown and kept: one visible line of at most so many characters, without secrets."""
    text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
    # One that is cut within a secret would show the beginning of it: mask more than is shown.
    return one_line(masked(one_line(text[: 4 * limit], 4 * limit)), limit)
