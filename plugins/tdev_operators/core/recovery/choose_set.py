"""Which set a restore takes: the newest PROVEN one, unless a person asks for another and accepts what it lacks."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from tdev_operators.core.backup.manifest import Manifest, State
from tdev_operators.core.backup.set_records import SetOnDisk
from tdev_operators.core.backup.verified import manifest_of
from tdev_operators.core.errors import InputError

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_NUMBER = re.compile(r"\d{1,6}", re.ASCII)
_MISSING = {
    State.COMPLETE: "nobody has read its bytes back, and nobody has restored it",
    State.READABLE: "its bytes were read back, and nobody has restored and compared them",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """The set that is taken. `missing` says what is not known of an unproven one, `newer` names newer sets."""

    set_id: str
    manifest: Manifest
    manifest_sha256: str
    missing: str = ""
    newer: tuple[str, ...] = ()


def choose_set(sets: Sequence[SetOnDisk], which: str = "", *, unproven: bool = False) -> Choice:
    """Return the set that `which` means: empty (the newest PROVEN), a day (2026-11-25: its newest), an id, a number.

    With `unproven`, a set that is only COMPLETE or READABLE is taken too. `sets` are the newest first.

    Raises:
        InputError: there is none, or it is not PROVEN and `unproven` was not said.
    """
    if not which:
        candidates = list(sets)
    elif _DAY.fullmatch(which):
        day = _day(which)
        candidates = [one for one in sets if one.recovery_point.date() == day]
        if not candidates:
            raise InputError(f"There is no set of {which}; the newest sets are of {_days(sets)}.")
    else:
        candidates = [one for one in sets if which == one.set_id or _is_number(which, one)]
        if not candidates:
            raise InputError(f"There is no set {which[:80]!r}; take an id, a number or a day of `tdev backup list`.")
    worst = State.COMPLETE if unproven else State.PROVEN
    found = next((one for one in candidates if one.reached(worst)), None)
    if found is None:
        raise InputError(_refusal(candidates, which))
    newer = tuple(one.set_id for one in sets if one.sequence > found.sequence and one.reached(State.COMPLETE))
    return Choice(found.set_id, manifest_of(found), found.manifest_sha256, _MISSING.get(found.state, ""), newer)


def _refusal(candidates: Sequence[SetOnDisk], which: str) -> str:
    complete = next((one for one in candidates if one.reached(State.COMPLETE)), None)
    if complete is None:
        asked = f"of {which} " if which else ""
        return f"No set {asked}was ever completed, so that there is nothing to restore; see `tdev backup list`."
    return (
        f"The set {complete.set_id} is not PROVEN: {_MISSING[complete.state]}; verify it first, or tick «unproven» to "
        "take it all the same."
    )


def _is_number(which: str, one: SetOnDisk) -> bool:
    return _NUMBER.fullmatch(which) is not None and int(which) == one.sequence


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"{text} is no day of the calendar; write it as YYYY-MM-DD.") from None


def _days(sets: Sequence[SetOnDisk]) -> str:
    days = dict.fromkeys(f"{one.recovery_point:%Y-%m-%d}" for one in sets)
    return ", ".join(list(days)[:3]) or "no day at all"
