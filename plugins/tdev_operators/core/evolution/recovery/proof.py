"""The proof that the evolution goes on: real generations in the database, made after the restart by its own clock.

What the API says proves nothing. A generation counts when its number is above everything that stood there while the
engine was stopped, and when it bears a time since then: rows that somebody copied in, or that a wrong clock dated, do
not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tdev_operators.core.ports import Database
from tdev_operators.core.sql import load_sql

# The engine dates its rows with its own clock, which may be this far from the database's.
_CLOCK_SLACK = timedelta(seconds=60)


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


def generations_since(database: Database, floor: int, started_at: datetime) -> Seen:
    """Return which generations came above a number; raises what `Database.rows` raises."""
    rows = database.rows(load_sql("evolution_recovery/generations_since"), {"floor": floor})
    return parted(
        [(Generation(row["generation"], row["first_at"], row["evaluations"]), row["now"]) for row in rows], started_at
    )


def parted(found: Sequence[tuple[Generation, datetime]], started_at: datetime) -> Seen:
    """Part what was found into real generations and odd ones."""
    real: list[Generation] = []
    odd: list[Generation] = []
    for one, now in found:
        (real if started_at - _CLOCK_SLACK <= one.first_at <= now + _CLOCK_SLACK else odd).append(one)
    return Seen(tuple(real), tuple(odd))
