"""A straight line through points, and how certain its direction is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

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
        return student_t_below(-self.slope / self.standard_error, self.points - 2)


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


def student_t_below(t: float, degrees: int) -> float:
    """Return P(T <= t) of Student's distribution with a whole number of degrees of freedom.

    The finite series of Abramowitz and Stegun 26.7.3 and 26.7.4: exact, so no numerical library is needed.
    """
    if math.isinf(t):
        return 1.0 if t > 0 else 0.0
    angle = math.atan2(abs(t), math.sqrt(degrees))
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = degrees % 2
    term, total = (cosine, cosine if degrees > 1 else 0.0) if odd else (1.0, 1.0)
    for k in range(3 if odd else 2, degrees - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    within = (angle + sine * total) * 2 / math.pi if odd else sine * total
    return 0.5 + math.copysign(min(within, 1.0) / 2, t)  # rounding may pass 1
