"""Lines of logs and programs without what looks like a secret in them, for evidence that is kept and shown."""

import re

_HIDDEN = "***"
# What a key looks like, whoever gave it out; and what stands behind a word that announces one. Each is linear in time.
_WHOLE = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*"
    r"|\b(?:A3T[A-Z0-9]|AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{36,}"
    r"|\bxox[abpr]-[A-Za-z0-9-]{10,}"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*"
)
_ANNOUNCED = re.compile(
    r"(?P<word>(?:pass(?:word|wd|phrase)?|secret|api[_-]?key|access[_-]?key|token|credentials?|PGPASSWORD)[\"']?"
    r"\s{0,4}(?:[:=]|\s)\s{0,4})(?P<value>\"[^\"]*\"|'[^']*'|[^\s,;\"']+)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(?P<word>\b(?:bearer|basic)\s+)[A-Za-z0-9+/=._~-]{6,}", re.IGNORECASE)
_USER_INFO = re.compile(r"(?P<word>\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{0,200}:)[^\s@/]{1,500}(?=@)", re.IGNORECASE)


def masked(text: str) -> str:
    """Return the text with `***` in place of keys, tokens, passwords in addresses, and what a word announces.

    Rather too much than too little goes: `token expired` becomes `token ***`.
    """
    text = _WHOLE.sub(_HIDDEN, text)
    for pattern in (_USER_INFO, _BEARER, _ANNOUNCED):
        text = pattern.sub(lambda found: f"{found['word']}{_HIDDEN}", text)
    return text
