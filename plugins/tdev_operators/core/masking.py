"""Text without what looks like a secret in it: lines of logs and programs were written by strangers, and are kept."""

import re

from tdev_operators.core.reporting.escaping import one_line

SHOWN_CHARACTERS = 200
_MASK = "***"
_KEYS = (
    r"pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?|cookie|session"
)
# JSON within JSON has backslashes before its quotes; a quote with more of them belongs to the value.
_QUOTE = r"(?:\\{0,8}[\"'])?"
_NESTED = r"(?P<slashes>\\{1,8})\"(?:(?!(?<!\\)(?P=slashes)\")[\s\S])*(?:(?P=slashes)\")?"
_QUOTED = rf"{_NESTED}|\"(?:[^\"\\]|\\[\s\S])*\"?|'(?:[^'\\]|\\[\s\S])*'?"
_VALUE = rf"{_QUOTED}|[^\s,;&)}}\]]+"
_SCHEMES = "bearer|basic|digest|negotiate"
# Each is linear: no repetition stands within another, but where each character is matched by one way only.
_SECRETS = (
    (re.compile(r"(?<=://)([^\s/:@]{0,200}:)\S{1,1000}(?=@)"), rf"\1{_MASK}"),  # the password of a URL or DSN
    (re.compile(rf"(?i)\b({_SCHEMES})\s+[^\s\"',;]{{6,}}"), rf"\1 {_MASK}"),
    (
        re.compile(
            rf"(?i)(authorization{_QUOTE}\s{{0,3}}[=:]\s{{0,3}})(?!\s{{0,3}}(?:{_SCHEMES})\s)"
            rf"(?:{_QUOTED}|[^\s,;]+(?: [^\s,;]+)?)"
        ),
        rf"\1{_MASK}",
    ),
    (
        re.compile(rf"(?i)([\w-]{{0,30}}(?:{_KEYS})[\w-]{{0,30}}{_QUOTE}\s{{0,3}}[=:]\s{{0,3}})(?:{_VALUE})"),
        rf"\1{_MASK}",
    ),
    (re.compile(rf"(?i)(--?[\w-]{{0,30}}(?:{_KEYS})[\w-]{{0,30}}\s{{1,3}})(?:{_VALUE})"), rf"\1{_MASK}"),  # an option
    (re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]*){1,2}"), _MASK),  # a JSON web token
    (re.compile(r"\b(?:A3T[A-Z0-9]|AKIA|ASIA)[A-Z0-9]{12,}\b"), _MASK),
    (re.compile(r"\b(?:gh[oprsu]_|github_pat_|glpat-|xox[abprs]-|sk-)[\w-]{8,}"), _MASK),
    (re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*"), _MASK),
    # A secret key of AWS: 40 signs, among them small and capital letters and figures, as no SHA-1 has.
    (
        re.compile(
            r"(?<![\w/+=])(?=[A-Za-z0-9/+]{0,39}[a-z])(?=[A-Za-z0-9/+]{0,39}[A-Z])(?=[A-Za-z0-9/+]{0,39}\d)"
            r"[A-Za-z0-9/+]{40}(?![\w/+=])"
        ),
        _MASK,
    ),
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
