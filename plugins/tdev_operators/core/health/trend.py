"""A straight line through points, and how certain its direction is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trend:
    """The least-squares line through `points` points: its slope, and the slope's standard error."""

    slope: float
    standard_error: float
    points: int

    @property
    def falling_confidence(self) -> float:
        """How certain it is that the true slope is below 0: 0..1, by Student's t-test, one-sided."""
        if self.standard_error == 0:
            return 1.0 if self.slope < 0 else 0.0
        return student_t_below(-self.slope / self.standard_error, self.points - 2)


def least_squares(points: Sequence[tuple[float, float]]) -> Trend:
    """Fit a line through (x, y) points: at least 3, with at least two different x.

    Raises:
        ValueError: too few points.
    """
    n = len(points)
    if n < 3 or len({x for x, _ in points}) < 2:  # noqa: PLR2004  two points always lie on a line
        raise ValueError("a line with an uncertainty needs three points at two places")
    mean_x, mean_y = math.fsum(x for x, _ in points) / n, math.fsum(y for _, y in points) / n
    spread = math.fsum((x - mean_x) ** 2 for x, _ in points)
    slope = math.fsum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    left_over = math.fsum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in points)
    return Trend(slope, math.sqrt(left_over / (n - 2) / spread), n)


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
