"""Names of back-up sets: `000007-20261125T210000Z-0f3a9c`. They sort by sequence; the time is for people.

Keys of a set begin with `<system>/<set id>/`, slash included, so that no name is taken for a longer one: `app/` never
matches `app_staging/`.
"""

import re
import secrets
from datetime import UTC, datetime
from typing import NamedTuple

from tdev_operators.core.errors import InputError

_FORM = re.compile(r"(\d{6})-(\d{8}T\d{6}Z)-([0-9a-f]{6})", re.ASCII)
_MOMENT = "%Y%m%dT%H%M%SZ"
# Six digits, so that names sort as their sequences do: enough for 2,700 years of daily sets.
_LAST_SEQUENCE = 999_999


class SetId(NamedTuple):
    """The parts of a set's name. `at` is the database's clock when the set began; `token` tells twins apart."""

    sequence: int
    at: datetime
    token: str

    def __str__(self) -> str:
        return f"{self.sequence:06d}-{self.at.strftime(_MOMENT)}-{self.token}"


def make_set_id(sequence: int, at: datetime) -> str:
    """Return a new name.

    Raises:
        InputError: the sequence has more than six digits, or the time has no zone.
    """
    if not 1 <= sequence <= _LAST_SEQUENCE:
        raise InputError(
            f"A set's sequence is 1 to {_LAST_SEQUENCE}, not {sequence}; begin in another system's folder."
        )
    if at.tzinfo is None:
        raise InputError("The time of a set has no time zone; give one in UTC.")
    return str(SetId(sequence, at.astimezone(UTC), secrets.token_hex(3)))


def is_set_id(text: str) -> bool:
    """Whether this is the name of a set."""
    return _parsed(text) is not None


def parse_set_id(text: str) -> SetId:
    """Return the parts of a name.

    Raises:
        InputError: it is none.
    """
    parsed = _parsed(text)
    if parsed is None:
        raise InputError(f"{text[:80]!r} is no set id; take one of `tdev backup list`.")
    return parsed


def order_of(text: str) -> tuple[int, str]:
    """Return what set ids are sorted by: the sequence; twins by their names, so that the order never changes."""
    return parse_set_id(text).sequence, text


def root_of(system: str) -> str:
    """Return the prefix of all sets of a system, with its slash.

    Raises:
        InputError: the system's name cannot be a folder.
    """
    if not system or "/" in system or not system.isprintable() or system in {".", ".."}:
        raise InputError(f"The system's name {system!r} cannot be a folder of the bucket; write a word without slash.")
    return f"{system}/"


def folder_of(system: str, set_id: str) -> str:
    """Return the prefix of a set's objects, with its slash.

    Raises:
        InputError: that is no set id, or no system's name.
    """
    return f"{root_of(system)}{parse_set_id(set_id)}/"


def _parsed(text: str) -> SetId | None:
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    sequence, moment, token = match.groups()
    try:
        return SetId(int(sequence), datetime.strptime(moment, _MOMENT).replace(tzinfo=UTC), token)
    except ValueError:
        return None
