"""Today as the application's looks see it: the system, the figures of the days before, where to keep today's."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING, Any

from tdev_operators.core.database.performance.intervals import daily_samples
from tdev_operators.core.ledger import ItemStore, Sample, to_compare_with
from tdev_operators.core.series import Point, Series, thinned

if TYPE_CHECKING:
    from tdev_operators.core.ports import SystemPorts
    from tdev_operators.core.settings import Settings


@dataclass(frozen=True)
class ApplicationDay:
    """What a look needs."""

    system: "SystemPorts"
    settings: "Settings"
    ledger: ItemStore
    at: datetime

    def before(self, kind: str) -> list[Sample]:
        """Return the samples of the days that are compared with, one a day, the oldest first.

        Raises:
            TargetUnreachableError: the ledger cannot be asked.
        """
        since = self.at - timedelta(days=self.settings.performance.baseline_days + 1)
        return daily_samples(to_compare_with(self.ledger.samples(self.settings.system.name, kind, since)), self.at)

    def keep(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Keep today's figures for the days to come."""
        self.ledger.keep_sample(self.settings.system.name, kind, Sample(self.at, facts))

    def usual(self, before: list[Sample], key: str) -> float | None:
        """Return the median of a figure over the days before; None of too few days to call anything usual."""
        figures = [float(each.facts[key]) for each in before if each.facts.get(key) is not None]
        return median(figures) if len(figures) >= self.settings.performance.baseline_minimum_days else None

    def trend(
        self, name: str, unit: str, before: list[Sample], today: Mapping[str, Any], key: str, limit: float | None = None
    ) -> tuple[Series, ...]:
        """Return a figure over the days, today's last, to be drawn; nothing where no day has one."""
        days = [*before, Sample(self.at, today)]
        points = [Point(each.taken_at, float(each.facts[key])) for each in days if each.facts.get(key) is not None]
        return (Series(name, unit, thinned(points), limit=limit),) if points else ()
