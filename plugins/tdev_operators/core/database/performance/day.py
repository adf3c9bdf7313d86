"""Today as the looks see it: what was measured, what was measured before, and what of that can be compared."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from tdev_operators.core.database.performance.intervals import Interval, daily_samples, statements_between
from tdev_operators.core.database.performance.sampling import STATEMENTS, Taken, Told
from tdev_operators.core.ledger import Sample, to_compare_with
from tdev_operators.core.series import Point, Series, thinned

if TYPE_CHECKING:
    from tdev_operators.core.ports import SystemPorts
    from tdev_operators.core.settings import Settings

FIRST = "Nothing to compare with yet: this is the first day."


@dataclass(frozen=True)
class Day:
    """What a look needs. `history` has the samples of before today by kind; None while the ledger is down."""

    system: "SystemPorts"
    settings: "Settings"
    taken: Taken
    history: Mapping[str, Sequence[Sample] | None]

    def before(self, kind: str) -> list[Sample]:
        """Return the earlier samples of a kind, one a day, the oldest first.

        Raises:
            TargetUnreachableError: the ledger cannot be asked.
        """
        return daily_samples(to_compare_with(self.history.get(kind)), self.taken.at)

    @cached_property
    def statements(self) -> Interval | None:
        """What statements cost since the last daily sample; None on the first day.

        Raises:
            TdevError: today's were not taken, or the ledger cannot be asked.
        """
        today = self.taken.sample(STATEMENTS)
        before = self.before(STATEMENTS)
        return statements_between(before[-1], today) if before else None

    def trend(
        self, kind: str, name: str, unit: str, figure: Callable[[Sample, Sample], float | None]
    ) -> tuple[Series, ...]:
        """Return a figure of each day to be drawn: what `figure` makes of its sample and the one before.

        Nothing where no two samples are known; a day of which it makes None is left out.
        """
        samples = [*self.before(kind), self.taken.sample(kind)]
        days = [(after.taken_at, figure(before, after)) for before, after in pairwise(samples)]
        points = [Point(when, value) for when, value in days if value is not None]
        return (Series(name, unit, thinned(points)),) if points else ()

    def told(self, statement: str) -> Told:
        """Return how to show a statement."""
        return self.taken.told.get(statement, Told("somebody", statement))

    def named(self, statement: str) -> str:
        """Return a statement in a sentence: its number, its role, and its text without literals."""
        told = self.told(statement)
        return f"{statement.partition(':')[0]} ({told.role}) {told.text}"
