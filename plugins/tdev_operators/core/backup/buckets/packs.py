"""Packs: small objects in a plain tar, so that `tar xf` brings them back without us and a ranged read without tar.

A member is named as its key is, with `.age` behind it when it is encrypted. A key that is no safe file name stands
below `.odd-keys/` under the SHA-256 of its UTF-8 bytes, and the key itself in the member's pax header as `comment`:
keys that begin or end with "/", have an empty, "." or ".." part, a NUL, a part of more than 251 bytes, that begin with
`.odd-keys/`, or for which another key would have to be a file and a folder at once ("a" and "a/b"). The index has the
real key of every member.
"""

import hashlib
import tarfile
from datetime import datetime

from tdev_operators.core.backup.cipher import SUFFIX

ODD_KEYS = ".odd-keys/"

_BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK)
_LONGEST_PART = 255 - len(SUFFIX)
_LONGEST_NAME = 3000  # Linux takes paths up to 4,095 bytes, and somebody extracts below a folder
_LATEST_MTIME = 8**11 - 1


def member_name(key: str, *, shadowed: bool = False) -> str:
    """Return a key's name in a pack. `shadowed` says that a folder of its path is the name of another object."""
    if shadowed or _is_odd(key):
        return ODD_KEYS + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return key


def _is_odd(key: str) -> bool:
    try:
        parts = key.encode().split(b"/")
    except UnicodeEncodeError:
        return True
    return (
        len(key) > _LONGEST_NAME
        or key.startswith(ODD_KEYS)
        or "\0" in key
        or any(part in (b"", b".", b"..") or len(part) > _LONGEST_PART for part in parts)
    )


class Shadows:
    """Tells of keys, which come in order, whether one of their folders is the name of another member as well."""

    def __init__(self, suffix: str = "") -> None:
        """Start before the first key; `suffix` is what stands behind the keys in the names of members."""
        self._above: list[str] = []
        self._folder = f"{suffix}/"

    def over(self, key: str) -> bool:
        """Take the next key."""
        while self._above and not key.startswith(self._above[-1]):
            self._above.pop()
        shadowed = any(key.startswith(above + self._folder) for above in self._above)
        self._above.append(key)
        return shadowed


class Pack:
    """A tar in memory that grows by members. The same members in the same order are the same bytes."""

    def __init__(self, limit_bytes: int) -> None:
        """Begin an empty one; `limit_bytes` is what it should not exceed."""
        self._limit = limit_bytes
        self._body = bytearray()
        self._sha256 = hashlib.sha256()

    def __len__(self) -> int:
        return len(self._body)

    def fits(self, length: int) -> bool:
        """Whether a member of this length still goes in. A first one always does."""
        return not self._body or len(self._body) + length + 4 * _BLOCK <= self._limit

    def add(self, key: str, content: bytes, *, modified: datetime, suffix: str = "", shadowed: bool = False) -> int:
        """Append a member; return the offset of its content."""
        name = member_name(key, shadowed=shadowed)
        member = tarfile.TarInfo(name + suffix)
        member.size = len(content)
        member.mode = 0o644
        member.mtime = min(max(0, int(modified.timestamp())), _LATEST_MTIME)
        if name != key:
            member.pax_headers = {"comment": key.encode("utf-8", "backslashreplace").decode()}
        header = member.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
        padding = bytes(-len(content) % _BLOCK)
        offset = len(self._body) + len(header)
        for piece in (header, content, padding):
            self._body += piece
            self._sha256.update(piece)
        return offset

    def close(self) -> tuple[str, bytes]:
        """End the archive; return the SHA-256 of the whole, in hex, and the whole."""
        self._body += _END
        self._sha256.update(_END)
        return self._sha256.hexdigest(), bytes(self._body)
