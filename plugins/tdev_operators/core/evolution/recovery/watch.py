"""Waiting for the proof: real generations, one after the other, or why there are none and what to do next."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from tdev_operators.core.errors import TdevError, TransientError
from tdev_operators.core.evolution.recovery.diagnosis import (
    api_status,
    holder_named,
    hosts_of_service,
    waited_for,
)
from tdev_operators.core.evolution.recovery.ports import EvolutionPorts
from tdev_operators.core.evolution.recovery.proof import Floor, Seen, generations_since
from tdev_operators.core.recovery.services import is_alive
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql

_POLLS = 40  # while one waits for a generation
_LONGEST_PAUSE, _SHORTEST_PAUSE = 30.0, 0.2


@dataclass(frozen=True, slots=True)
class Watched:
    """Which generations came; where it were too few, `why` in a sentence and what to do (`todo`)."""

    generations: tuple[str, ...]
    why: str = ""
    todo: str = ""


def watch(
    ports: EvolutionPorts,
    settings: Settings,
    floor: Floor,
    *,
    wanted: int,
    progress: Callable[[str], None],
    check: Callable[[], None],
) -> Watched:
    """Wait until so many generations came since an engine was stopped, or one is late, by the database's clock.

    Raises:
        TransientError: the database is away for longer than that; and what `check` raises.
    """
    seconds, told = settings.evolution.recovery.generation_wait_seconds, set[int]()
    patience, pause = timedelta(seconds=seconds), min(_LONGEST_PAUSE, max(_SHORTEST_PAUSE, seconds / _POLLS))
    give_up_at = time.monotonic() + wanted * seconds
    while True:
        check()
        try:
            now = clock_of(ports)
            seen = generations_since(ports.system.database, floor)
        except TransientError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(pause)
            continue
        for one in seen.real:
            if one.number not in told:
                progress(f"generation {one.told}")
                told.add(one.number)
        silent = now - seen.last_at(floor.at)
        if silent >= patience:
            why, todo = _why_not(ports, settings, seen, floor)
            return Watched(tuple(one.told for one in seen.real), why, todo)
        if len(seen.real) >= wanted:
            return Watched(tuple(one.told for one in seen.real[:wanted]))
        time.sleep(pause)


def clock_of(ports: EvolutionPorts) -> datetime:
    """Return the database's clock."""
    [row] = ports.system.database.rows(load_sql("evolution_recovery/now"))
    now: datetime = row["now"]
    return now


def _why_not(ports: EvolutionPorts, settings: Settings, seen: Seen, floor: Floor) -> tuple[str, str]:
    rules = settings.evolution.recovery
    why, todo = _what_came(seen, floor, rules.generation_wait_seconds / 60), ""
    with suppress(TdevError):
        why += f" The API says {api_status(ports)['status']}, which proves nothing."
    for entry in hosts_of_service(settings):
        with suppress(TdevError):
            if not is_alive(ports.system.hosts[entry.name], settings, rules.service):
                why += f" {rules.service} on {entry.name} does not run any more."
                todo = f"See in its log why {rules.service} ends on {entry.name}."
    with suppress(TdevError):
        if ahead := waited_for(ports, settings, own_too=True):
            who = holder_named(ahead[0])
            why += f" The engine waits for a lock of {who}, which lives."
            todo = f"See what {who} does, end it if it may be ended, and start this again."
    return why, todo or "Read the engine's log on its host, with the evidence beside it."


def _what_came(seen: Seen, floor: Floor, minutes: float) -> str:
    if seen.real:
        numbers = ", ".join(str(one.number) for one in seen.real)
        what = "Generation" if len(seen.real) == 1 else "Generations"
        return f"{what} {numbers} came, and then none for {minutes:.0f} min: it stalls again."
    if seen.odd:
        one = seen.odd[0]
        return (
            f"Generation {one.number} appeared and bears the time {one.first_at:%Y-%m-%d %H:%M} UTC: it was not made "
            f"since the restart, and no other came for {minutes:.0f} min."
        )
    anew = f", and none above the checkpoint's {floor.base} was made anew" if floor.base < floor.highest else ""
    return f"No generation above {floor.highest} came within {minutes:.0f} min after the restart{anew}."
