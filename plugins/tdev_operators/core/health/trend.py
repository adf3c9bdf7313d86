"""A straight line through points, and how certain its direction is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from scipy.special import stdtr

# At 1 the points would be one point.
_MOST_AUTOCORRELATED = 0.95


@dataclass(frozen=True, slots=True)
class Trend:
    """The least-squares line through `points` points: its slope, and the slope's standard error.

    The error is widened by `autocorrelation`, that of what the line leaves over from one point to the next: points
    that follow their neighbours tell less than as many independent ones.
    """

    slope: float
    standard_error: float
    points: int
    autocorrelation: float

    @property
    def falling_confidence(self) -> float:
        """How certain it is that the true slope is below 0: 0..1, by Student's t-test, one-sided."""
        if self.standard_error == 0:
            return 1.0 if self.slope < 0 else 0.0
        return float(stdtr(self.points - 2, -self.slope / self.standard_error))


def least_squares(points: Sequence[tuple[float, float]]) -> Trend:
    """Fit a line through (x, y) points in the order of x: at least 3, with at least two different x.

    Raises:
        ValueError: too few points.
    """
    n = len(points)
    if n < 3 or len({x for x, _ in points}) < 2:  # noqa: PLR2004  two points always lie on a line
        raise ValueError("a line with an uncertainty needs three points at two places")
    mean_x, mean_y = math.fsum(x for x, _ in points) / n, math.fsum(y for _, y in points) / n
    spread = math.fsum((x - mean_x) ** 2 for x, _ in points)
    slope = math.fsum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    left_over = [y - mean_y - slope * (x - mean_x) for x, y in points]
    squares = math.fsum(rest**2 for rest in left_over)
    beside = math.fsum(one * next_ for one, next_ in pairwise(left_over))
    # Few points show less of it than there is, by about this much (Kendall's bias, around a line).
    seen = beside / squares if squares else 0.0
    r = min(max(seen + (2 + 4 * seen) / n, 0.0), _MOST_AUTOCORRELATED)
    return Trend(slope, math.sqrt(squares / (n - 2) / spread * (1 + r) / (1 - r)), n, r)
