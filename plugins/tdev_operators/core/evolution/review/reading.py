"""What the review reads from the maintained database, each thing once, and none of it to be written to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING, Any

from tdev_operators.core.errors import AccessDeniedError
from tdev_operators.core.evolution.review.statistics import Moments
from tdev_operators.core.ledger import ItemStore, Sample, to_compare_with
from tdev_operators.core.reporting.wording import number
from tdev_operators.core.sql import load_sql

if TYPE_CHECKING:
    from tdev_operators.core.ports import SystemPorts
    from tdev_operators.core.settings import Settings

# Today and what it is held against: days ago at which a span of 24 hours ends.
TODAY, YESTERDAY, LAST_WEEK = 0, 1, 7
NAMES = {TODAY: "the last 24 h", YESTERDAY: "the day before", LAST_WEEK: "the same day a week ago"}
_DAY_HOURS = 24
_FEWEST_AGENTS = 5  # the witnesses of a mutation


@dataclass(frozen=True, slots=True)
class Generation:
    """A generation as its history tells: when it was made, and the fitness of its evaluations.

    Best, mean and variance are None where no evaluation has a fitness (of one there is no variance).
    """

    number: int
    first_at: datetime
    last_at: datetime
    hours_ago: float
    evaluations: int
    best: float | None
    mean: float | None
    variance: float | None

    @property
    def seconds(self) -> float:
        """How long its evaluations took from first to last; 0 where all were recorded as of one moment."""
        return (self.last_at - self.first_at).total_seconds()


@dataclass(frozen=True, slots=True)
class Mutated:
    """The evaluations of a week with a mutation (or with none): how many, and what they gained, an agent a figure."""

    evaluations: int
    gains: Moments


@dataclass(frozen=True, slots=True)
class Mutations:
    """A week's evaluations: all of them, those without any mutation, and those that had each mutation."""

    whole: Mutated
    unmutated: Mutated
    by_name: Mapping[str, Mutated]

    def compared(self, minimum: int) -> list[tuple[str, Moments, Moments]]:
        """Return each mutation's gains and those to hold them against, where there are enough evaluations and agents.

        Those are of evaluations without any mutation, so that no mutation is measured by the others; where they are
        too few it is all.
        """
        against = self.unmutated if _is_enough(self.unmutated, minimum) else self.whole
        return [
            (name, having.gains, against.gains)
            for name, having in self.by_name.items()
            if _is_enough(having, minimum) and _is_enough(against, minimum)
        ]


def _is_enough(mutated: Mutated, minimum: int) -> bool:
    return mutated.evaluations >= minimum and mutated.gains.count >= _FEWEST_AGENTS


@dataclass(frozen=True)
class Review:
    """Today's review: the system, the settings, the ledger with what earlier reviews measured."""

    system: "SystemPorts"
    settings: "Settings"
    ledger: ItemStore
    at: datetime

    @cached_property
    def generations(self) -> Sequence[Generation]:
        """The generations of `[evolution.review] days`, by number.

        Raises:
            AccessDeniedError: row security hides some; and what `Database.rows` raises.
        """
        found = self.rows("generations", {"days": self.settings.evolution.review.days})
        return [Generation(row.pop("generation"), **row) for row in found]

    def made(self, days_ago: int) -> list[Generation]:
        """Return the generations that began in the 24 hours that end so many days ago."""
        first, last = _DAY_HOURS * days_ago, _DAY_HOURS * (days_ago + 1)
        return [each for each in self.generations if first <= each.hours_ago < last]

    def usual(self, figures: Mapping[int, float | None]) -> str:
        """Return what a figure was on the days before, for a sentence: `1.2 the day before, 1.1 ...`."""
        told = [
            f"{number(float(f'{value:.4g}'))} {NAMES[day]}"
            for day, value in figures.items()
            if day and value is not None
        ]
        return ", ".join(told) or "there is nothing to compare with"

    def mutations(self, weeks_ago: int) -> "Mutations":
        """Return what the fitness was above its generation's mean in one week, by mutation."""
        nothing = Mutated(0, Moments(0, 0.0, 0.0))
        found = {
            (row["mutation"], row["is_whole"]): Mutated(
                row["evaluations"], Moments(row["agents"], row["gain"], row["squares"])
            )
            for row in self.rows("mutations", {"days_ago": 7 * weeks_ago})
        }
        named = {name: mutated for (name, _), mutated in found.items() if name is not None}
        return Mutations(found.get((None, True), nothing), found.get((None, False), nothing), named)

    def rows(self, statement: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows of `evolution/<statement>.sql`.

        Raises:
            AccessDeniedError: row security hides some of them; and what `Database.rows` raises.
        """
        found = self.system.database.rows(load_sql(f"evolution/{statement}"), params or {})
        if any(row.pop("rows_hidden", False) for row in found):
            raise AccessDeniedError(f"Row security hides rows from us ({statement}); give our role BYPASSRLS.")
        return found

    def samples(self, kind: str) -> Sequence[Sample]:
        """Return what earlier reviews measured, the oldest first.

        Raises:
            TargetUnreachableError: the ledger cannot be asked.
        """
        since = self.at - timedelta(days=self.settings.evolution.review.days)
        known = to_compare_with(self.ledger.samples(self.settings.system.name, kind, since))
        return [each for each in known if each.taken_at < self.at]


def middle(values: Sequence[float]) -> float | None:
    """Return the median; None of nothing."""
    return median(values) if values else None
