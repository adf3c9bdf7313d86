"""Making foreign text harmless: names of agents, error messages and file names are chosen by strangers.

`one_line` comes first, whatever the rendering; each rendering then adds the escapes of its own syntax.
"""

import re
import unicodedata
from typing import Any

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# Cc: control, and with it terminal escapes. Cf: invisible, and with it marks that turn the reading direction.
# Cs, Co, Cn: nothing that a reader could see. Zl, Zp: line ends in disguise.
_UNSEEN_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_MARKDOWN_SYNTAX = re.compile(r"([\\`*_{}\[\]()#+\-.!|~:@$^=])")
_HTML_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}


def one_line(text: str, limit: int = 1000) -> str:
    """Return the text as one visible line: white space is folded, unseen characters become U+FFFD, the end is cut."""
    folded = " ".join(text.split())
    if len(folded) > limit:
        folded = folded[: limit - 1] + "…"
    if folded.isascii() and folded.isprintable():
        return folded
    return "".join(_REPLACEMENT if unicodedata.category(char) in _UNSEEN_CATEGORIES else char for char in folded)


def markdown(text: str) -> str:
    """Return one line of Markdown that renders as exactly this text: no mark-up, no link, no HTML."""
    escaped = _MARKDOWN_SYNTAX.sub(r"\\\1", one_line(text))
    return "".join(_HTML_ENTITIES.get(char, char) for char in escaped)


def slack(text: str) -> str:
    """Return one line for Slack's mrkdwn: the three characters that begin links, mentions and entities are escaped."""
    return one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def storable(value: Any) -> Any:
    """Return the JSON value as PostgreSQL can keep it: no NUL, no lone surrogate; NaN and infinity become null."""
    if isinstance(value, str):
        return value.replace("\0", _REPLACEMENT).encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {storable(key): storable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(inner) for inner in value]
    return value
