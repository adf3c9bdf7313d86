import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdev_operators.core.evolution.review.statistics import (
    Moments,
    change_of_course,
    effective_number,
    effects,
    improvement,
)


def noise(n, scale, seed=1):
    return np.random.default_rng(seed).normal(0, scale, n)


def moments(values):
    return Moments(len(values), float(sum(values)), float(sum(value * value for value in values)))


@pytest.mark.parametrize("percent", [-1.0, 0.5, 5.0])
def test_the_improvement_is_found_in_spite_of_wild_generations(percent):
    values = [0.1 * (1 + percent / 100) ** n for n in range(40)]
    values[7], values[23], values[31] = 0.9, 0.001, 0.7
    found = improvement(range(40), values, 99)
    assert found.percent == pytest.approx(percent, abs=1e-6)
    assert found.low <= found.percent <= found.high


def test_missing_generations_do_not_hasten_the_improvement():
    numbers = [n for n in range(60) if n % 3]
    assert improvement(numbers, [1.01**n for n in numbers], 99).percent == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("slope_after", "step", "place"), [(-0.002, 0.0, 120), (0.001, -0.05, 200), (0.004, 0.0, 60), (0.001, 0.06, 270)]
)
def test_a_change_of_course_is_found_where_it_is(slope_after, step, place):
    x = np.arange(336)
    values = np.where(x < place, 0.001 * x, 0.001 * place + step + slope_after * (x - place)) + noise(336, 0.004)
    found = change_of_course(values)
    assert found.p_value < 0.01
    assert found.place == pytest.approx(place, abs=8)
    assert found.slope_after == pytest.approx(slope_after, abs=0.0004)
    assert found.step == pytest.approx(step, abs=0.01)


def test_a_straight_course_is_seldom_called_changed():
    called = sum(change_of_course(0.001 * np.arange(120) + noise(120, 0.01, seed)).p_value < 0.01 for seed in range(60))
    assert called <= 4  # of 60, at 1 %; 4 or more happen once in 400 such tests


def test_neighbours_that_follow_each_other_are_no_change():
    called = missed = 0
    for seed in range(40):
        steps, values = noise(200, 0.01, seed), [0.0]
        for step in steps:
            values.append(0.8 * values[-1] + step)
        called += change_of_course(values).p_value < 0.01
        found = improvement(range(150), [value + 1 for value in values[:150]], 99)
        missed += not found.low <= 0 <= found.high
    assert called <= 4
    assert missed <= 4


def test_few_or_equal_values_have_no_change():
    assert change_of_course([0.5] * 23) is None
    assert change_of_course([0.5] * 100).p_value == 1.0
    assert change_of_course([0.001 * n for n in range(100)]).p_value == 1.0


def test_a_mutation_that_hurts_is_told_from_one_that_does_nothing():
    hurt, idle, rest = noise(300, 0.03, 1) - 0.02, noise(300, 0.03, 2), noise(900, 0.03, 3)
    others = moments(rest)
    found = effects([("idle", moments(idle), others), ("hurt", moments(hurt), others)])
    assert [each.mutation for each in found] == ["hurt", "idle"]
    assert found[0].p_value < 1e-6
    assert found[0].difference == pytest.approx(-0.02, abs=0.006)
    assert found[1].p_value > 0.01


def test_equal_figures_prove_nothing():
    found = effects([("same", moments([0.0] * 10), moments([0.0] * 10))])
    assert [each.p_value for each in found] == [1.0]
    assert effects([]) == []


@given(st.integers(1, 300))
def test_genes_that_are_used_alike_count_whole(genes):
    assert effective_number([7], [genes]) == pytest.approx(genes)


def test_one_gene_that_rules_is_one_gene():
    assert effective_number([0, 1, 10_000], [500, 3, 1]) == pytest.approx(1.0, abs=0.01)
    assert effective_number([0], [500]) == 0.0
    assert effective_number([1, 3], [2, 1]) == pytest.approx(math.exp(-(0.4 * math.log(0.2) + 0.6 * math.log(0.6))))
