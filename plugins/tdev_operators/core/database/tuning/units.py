"""PostgreSQL's way of writing values: numbers with units, switches, enumerations; read as the server reads them.

Pure. `in_base_units` gives what `pg_settings.setting` would show, so that '4GB', '4096 MB' and 524288 pages of 8 kB are
one value.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tdev_operators.core.errors import InputError

_MEMORY = {"B": 1, "kB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
_TIME = {"us": 1, "ms": 1_000, "s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_NUMBER = re.compile(r"([+-]?(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?))\s*([A-Za-z]*)")
_BASE = re.compile(r"(\d*)([A-Za-z]+)")
_SHOWN_AS = {"wal_compression": {"on": "pglz"}}  # two words for one value: the server shows the first
_SWITCHES = {"on": ("on", "true", "yes", "1"), "off": ("off", "false", "no", "0")}

Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Kind:
    """What sort of value a setting has: `pg_settings`' vartype, unit and bounds."""

    name: str
    vartype: str
    unit: str = ""
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None


def in_base_units(kind: Kind, value: Value) -> str:
    """Return a value as `pg_settings.setting` would show it.

    Raises:
        InputError: the server would refuse it: a wrong unit, no number, out of range, or none of the choices.
    """
    text = written(value).strip()
    match kind.vartype:
        case "bool":
            return _switch(kind, text)
        case "enum":
            return _choice(kind, text)
        case "integer":
            return str(_bounded(kind, float(round(_number(kind, text))), text))
        case "real":
            return _plain(_bounded(kind, _number(kind, text), text))
        case _:
            return text


def same(kind: Kind, one: str, other: str) -> bool:
    """Whether two settings in base units are one value."""
    if kind.vartype == "real":
        return math.isclose(float(one), float(other), rel_tol=1e-6, abs_tol=1e-12)
    if kind.vartype == "string" and kind.name.lower() in LISTS:
        return split_list(one) == split_list(other)
    return one == other


def readable(kind: Kind, setting: str) -> str:
    """Return a setting in base units as people write it: `524288` pages of 8 kB are `4GB`."""
    found = _BASE.fullmatch(kind.unit)
    if kind.vartype not in ("integer", "real") or not found or setting.startswith("-") or setting == "0":
        return setting
    table = _MEMORY if found[2] in _MEMORY else _TIME
    if found[2] not in table:
        return setting
    total = float(setting) * int(found[1] or 1) * table[found[2]]
    whole = [unit for unit in table if total >= table[unit] and total % table[unit] == 0]
    if not whole:
        return f"{setting}{kind.unit}"
    return f"{total / table[whole[-1]]:.0f}{whole[-1]}"


def bytes_of(kind: Kind, setting: str) -> int:
    """Return how many bytes a setting in base units is; 0 for one that is no memory."""
    found = _BASE.fullmatch(kind.unit)
    if not found or found[2] not in _MEMORY:
        return 0
    return int(float(setting) * int(found[1] or 1) * _MEMORY[found[2]])


def written(value: Value) -> str:
    """Return a value of the settings file as PostgreSQL's files would have it."""
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


# Their elements are quoted one by one: as one string they would be one element with commas in it.
LISTS = frozenset(
    {
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    }
)


def same_words(name: str, one: str | None, other: str | None) -> bool:
    """Whether two texts of postgresql.auto.conf say the same; None is no line."""
    if one is None or other is None or name.lower() not in LISTS:
        return one == other
    return split_list(one) == split_list(other)


def split_list(text: str) -> list[str]:
    """Return the elements of a list, without their quotes."""
    elements = re.findall(r'\s*("(?:[^"]|"")*"|[^,]*)\s*(?:,|$)', text)
    bare = [element.strip() for element in elements]
    return [one[1:-1].replace('""', '"') if one.startswith('"') else one for one in bare if one]


def _switch(kind: Kind, text: str) -> str:
    word = text.lower()
    # As the server does, any beginning that is meant for one of the words only.
    found = {state for state, words in _SWITCHES.items() for known in words if word and known.startswith(word)}
    if len(found) != 1:
        raise InputError(f"{kind.name} = {text!r} is no switch; write on or off.")
    return found.pop()


def _choice(kind: Kind, text: str) -> str:
    shown = _SHOWN_AS.get(kind.name, {})
    for choice in kind.choices:
        if choice.lower() == text.lower():
            return shown.get(choice, choice)
    # What pg_settings hides, the server takes all the same: true for on and the like.
    for state, words in _SWITCHES.items():
        if state in kind.choices and text.lower() in words:
            return shown.get(state, state)
    raise InputError(f"{kind.name} = {text!r} is not one of {_listed(kind.choices)}; write one of them.")


def _number(kind: Kind, text: str) -> float:
    found = _NUMBER.fullmatch(text)
    if not found:
        raise InputError(f"{kind.name} = {text!r} is no number{_with_units(kind)}; mend it.")
    digits, unit = found.groups()
    hexadecimal = digits.lower().lstrip("+-").startswith("0x")
    number = float(int(digits, 16)) if hexadecimal else float(digits)
    if not unit:
        return number
    base = _BASE.fullmatch(kind.unit)
    table = _units_of(kind)
    if base is None or unit not in table:
        raise InputError(f"{kind.name} = {text!r} has a unit that it cannot have{_with_units(kind)}; mend it.")
    return number * table[unit] / (int(base[1] or 1) * table[base[2]])


def _bounded(kind: Kind, number: float, text: str) -> float | int:
    if (kind.low is not None and number < kind.low) or (kind.high is not None and number > kind.high):
        low, high = (readable(kind, _plain(bound)) if bound is not None else "" for bound in (kind.low, kind.high))
        raise InputError(f"{kind.name} = {text!r} is out of range; give a value from {low} to {high}.")
    return int(number) if kind.vartype == "integer" else number


def _units_of(kind: Kind) -> dict[str, int]:
    found = _BASE.fullmatch(kind.unit)
    if not found:
        return {}
    return _MEMORY if found[2] in _MEMORY else _TIME if found[2] in _TIME else {}


def _with_units(kind: Kind) -> str:
    units = _units_of(kind)
    return f" with one of the units {_listed(tuple(units))}" if units else " without a unit"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words)


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(number)
