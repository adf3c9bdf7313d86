"""The regression against textbook figures."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdev_operators.core.health.trend import least_squares


def test_a_known_line():
    # Anscombe's first set: slope 0.5001, standard error 0.1179.
    xs = (10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5)
    ys = (8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68)
    trend = least_squares(list(zip(xs, ys, strict=True)))
    assert trend.slope == pytest.approx(0.50009, abs=1e-5)
    assert trend.standard_error == pytest.approx(0.11791, abs=1e-5)
    assert trend.falling_confidence < 0.01


@pytest.mark.parametrize(("rho", "at_most"), [(0.0, 0.02), (0.6, 0.05), (0.8, 0.08)])
def test_noise_is_rarely_taken_for_a_decline(rho, at_most):
    # Without the autocorrelation: 0.01, 0.12 and 0.23.
    random, declines, series = Random(1), 0, 1000
    for _ in range(series):
        y, points = random.gauss(0, 1) / math.sqrt(1 - rho**2), []
        for x in range(24):
            points.append((x, y))
            y = rho * y + random.gauss(0, 1)
        declines += least_squares(points).falling_confidence >= 0.99
    assert declines / series <= at_most


def test_a_perfect_line_is_certain():
    assert least_squares([(x, -x) for x in range(5)]).falling_confidence == pytest.approx(1)
    assert least_squares([(x, x) for x in range(5)]).falling_confidence == pytest.approx(0)
    assert least_squares([(x, 0.5) for x in range(5)]).falling_confidence == 0


@given(st.floats(-1, 1), st.floats(0, 1e6))
def test_the_slope_does_not_depend_on_the_origin(slope, origin):
    trend = least_squares([(origin + x, slope * x + (x % 3) * 0.1) for x in range(12)])
    same = least_squares([(x, slope * x + (x % 3) * 0.1) for x in range(12)])
    assert trend.slope == pytest.approx(same.slope, abs=1e-6)


def test_too_few_points_are_refused():
    with pytest.raises(ValueError, match="three points"):
        least_squares([(1, 1), (2, 2)])
    with pytest.raises(ValueError, match="two places"):
        least_squares([(1, 1), (1, 2), (1, 3)])
