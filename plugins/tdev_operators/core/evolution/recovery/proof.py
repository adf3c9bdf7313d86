"""The proof that the evolution goes on: real generations in the database, made after the restart by its own clock.

What the API says proves nothing. A generation counts when its number is above everything that stood there while the
engine was stopped, and when it bears a time since then: rows that somebody copied in, or that a wrong clock dated, do
not. An engine that goes on at its checkpoint's number makes some numbers once more: such a one counts by the rows that
are newer than everything that stood there. Numbers have to rise from one to the next.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from tdev_operators.core.ports import Database
from tdev_operators.core.sql import load_sql

# The engine dates its rows with its own clock, which may be this far from the database's.
_CLOCK_SLACK = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Floor:
    """What stood there while the engine was stopped, at `at`: the highest number, and the newest time of a row.

    From `base` on numbers may come once more: it is the generation of the checkpoint that was used.
    """

    highest: int
    at: datetime
    newest: datetime
    base: int

    @classmethod
    def facts(cls, state: Mapping[str, Any]) -> dict[str, Any]:
        """Return it as a journal keeps it, from what the database says of generations; `of` reads it."""
        return {"highest": state["highest"] or 0, "at": state["now"], "newest": state["newest"]}

    @classmethod
    def of(cls, kept: Mapping[str, Any], checkpoint: int | None = None) -> Self:
        """Rebuild it; `checkpoint` is the generation of the one that was used, None without any."""
        highest, at = int(kept["highest"]), datetime.fromisoformat(kept["at"])
        newest = datetime.fromisoformat(kept["newest"]) if kept.get("newest") else at
        return cls(highest, at, max(at, newest), highest if checkpoint is None else min(highest, checkpoint))


@dataclass(frozen=True, slots=True)
class Generation:
    """A generation as the database has it."""

    number: int
    first_at: datetime
    evaluations: int

    @property
    def told(self) -> str:
        """It for a sentence."""
        return f"{self.number} at {self.first_at:%H:%M:%S} UTC ({self.evaluations} evaluations)"


@dataclass(frozen=True, slots=True)
class Seen:
    """What came since the restart: `real` generations by number, and `odd` ones that bear another time."""

    real: tuple[Generation, ...]
    odd: tuple[Generation, ...]

    def last_at(self, otherwise: datetime) -> datetime:
        """Return when the last real one came; otherwise that moment."""
        return max((one.first_at for one in self.real), default=otherwise)


def generations_since(database: Database, floor: Floor) -> Seen:
    """Return which generations came since the restart; raises what `Database.rows` raises."""
    binds = {
        "floor": floor.highest,
        "base": floor.base,
        "earliest": floor.at - _CLOCK_SLACK,
        "newest": floor.newest,
    }
    rows = database.rows(load_sql("evolution_recovery/generations_since"), binds)
    return parted(
        [(Generation(row["generation"], row["first_at"], row["evaluations"]), row["now"]) for row in rows], floor.at
    )


def parted(found: Sequence[tuple[Generation, datetime]], started_at: datetime) -> Seen:
    """Part what was found into real generations and odd ones."""
    real: list[Generation] = []
    odd: list[Generation] = []
    for one, now in found:
        (real if started_at - _CLOCK_SLACK <= one.first_at <= now + _CLOCK_SLACK else odd).append(one)
    return Seen(_rising(real), tuple(odd))


def _rising(real: Sequence[Generation]) -> tuple[Generation, ...]:
    """Return those since the last fall of the number: an engine may make one more before it takes its checkpoint."""
    rising: list[Generation] = []
    for one in sorted(real, key=lambda each: (each.first_at, each.number)):
        if rising and one.number < rising[-1].number:
            rising.clear()
        rising.append(one)
    return tuple(rising)
