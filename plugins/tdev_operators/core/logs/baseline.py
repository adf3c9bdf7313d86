"""What is usual of a pattern, from the days before; and how unusual today is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

# The median absolute deviation times this is a normal distribution's standard deviation.
_OF_A_NORMAL = 1.4826


@dataclass(frozen=True, slots=True)
class Usual:
    """The median of the days before, their robust standard deviation, and how many days there were.

    The deviation is at least that of a Poisson process with this mean: equal days do not make one more line unusual.
    """

    lines: float
    deviation: float
    days: int

    @classmethod
    def of(cls, days: Sequence[float]) -> "Usual":
        """Return what is usual after such days; there must be one."""
        middle = median(days)
        spread = _OF_A_NORMAL * median(abs(day - middle) for day in days)
        return cls(middle, max(spread, math.sqrt(middle), 1.0), len(days))

    def deviations(self, lines: float) -> float:
        """Return by how many standard deviations a day lies above what is usual; never below 0."""
        return max(0.0, (lines - self.lines) / self.deviation)

    def limit(self, deviations: float) -> float:
        """Return the lines of a day that lies so many standard deviations above what is usual."""
        return self.lines + deviations * self.deviation


def days_before(by_hour: Mapping[int, int], read: frozenset[int], *, end: int, hours: int, days: int) -> list[int]:
    """Return the sums of the days before the one that ends with the hour `end`, the newest first.

    A day is as long as the window, `hours`. Of a day that was not `read` in each of its hours nobody knows: it is left
    out. That an hour was read does not mean that it has lines.
    """
    sums = []
    for day in range(1, days + 1):
        last = end - day * 24
        wanted = range(last - hours + 1, last + 1)
        if all(hour in read for hour in wanted):
            sums.append(sum(by_hour.get(hour, 0) for hour in wanted))
    return sums
