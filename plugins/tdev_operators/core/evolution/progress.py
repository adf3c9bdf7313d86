"""How long ago the evolution made progress: one answer, for the health check and for the recovery."""

from dataclasses import dataclass

from tdev_operators.core.errors import AccessDeniedError
from tdev_operators.core.ports import Database
from tdev_operators.core.settings import EvolutionSettings
from tdev_operators.core.sql import load_sql

# So many times the seconds after which it is stalled are looked at for an engine that went back to a checkpoint.
_WINDOW_TIMES = 12


@dataclass(frozen=True, slots=True)
class Progress:
    """The generation that was the last progress, and its age by the database's clock; `highest` is of all times.

    `steps_back` is how often the numbers went back lately; `future_rows` are not believed.
    """

    generation: int
    age_seconds: float
    highest: int
    steps_back: int
    future_rows: int


def told_of(generation: int, age_seconds: float, highest: int) -> str:
    """Return the beginning of a sentence about the last progress."""
    if generation == highest:
        return f"Generation {generation} was first recorded {age_seconds / 60:.0f} min ago"
    return f"Generation {generation} was recorded {age_seconds / 60:.0f} min ago, after a step back from {highest}"


def read_progress(database: Database, pace: EvolutionSettings) -> Progress | None:
    """Return the last progress; None when no generation was ever recorded.

    A number that was made before is progress when the engine went back to a checkpoint and the numbers rise one by one
    since. Numbers that were made again since a step back, lately, are not.

    Raises:
        AccessDeniedError: row security hides rows; and what `Database.rows` raises.
    """
    window = {"window_seconds": _WINDOW_TIMES * pace.stalled_after_seconds}
    [row] = database.rows(load_sql("evolution/progress"), window)
    if row["rows_hidden"]:
        raise AccessDeniedError("Row security hides rows of evolution_history; give our role BYPASSRLS.")
    if row["age_seconds"] is None:
        return None
    generation, age = row["generation"], row["age_seconds"]
    if row["risen_to"] is not None and row["risen_seconds_ago"] < age:
        generation, age = row["risen_to"], row["risen_seconds_ago"]
    return Progress(generation, age, row["generation"], row["steps_back"], row["future_rows"])
