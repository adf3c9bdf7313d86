"""What happened between two looks at cumulative counters: resets, evictions and newcomers are told apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdev_operators.core.database.performance.intervals import (
    daily_samples,
    grown,
    grown_in_all,
    statements_between,
)
from tdev_operators.core.ledger import Sample
from tests.analysed import DAY, statements
from tests.records import NOON

YESTERDAY = NOON - DAY


def between(before, after):
    return statements_between(Sample(YESTERDAY, before), Sample(NOON, after))


def test_counters_that_went_on_are_subtracted():
    found = between(statements({"a": (100, 1000.0, 5e6)}), statements({"a": (150, 2500.0, 9e6)}))
    spent = found.spent["a"]
    assert (spent.calls, spent.milliseconds, spent.temp_bytes, spent.new) == (50, 1500.0, 4e6, False)
    assert spent.mean_ms == 30
    assert (found.start, found.days, found.reset) == (YESTERDAY, 1, False)


def test_after_a_reset_the_counters_are_what_came_since():
    at = NOON - DAY / 4
    found = between(statements({"a": (100, 1000.0)}), statements({"a": (120, 4000.0), "b": (1, 1.0)}, reset=at))
    assert found.spent["a"].calls == 120, "larger than before, and begun anew all the same"
    assert not found.spent["b"].new
    assert (found.start, found.reset) == (at, True)


def test_a_smaller_counter_without_a_reset_is_not_judged():
    found = between(statements({"a": (100, 1000.0), "b": (9, 9.0)}), statements({"a": (20, 1500.0), "b": (9, 9.0)}))
    assert found.unjudged == {"a": "its counters became smaller"}
    assert found.spent == {}, "b did not run"


def test_evictions_leave_doubt_where_the_server_does_not_say_since_when():
    since = (NOON - 30 * DAY).isoformat()
    old = statements({"a": (100, 1000.0), "b": (100, 1000.0, 0.0, since)}, evictions=3)
    new = statements({"a": (120, 1100.0), "b": (120, 1100.0, 0.0, since)}, evictions=4)
    found = between(old, new)
    assert set(found.unjudged) == {"a"}
    assert found.spent["b"].calls == 20
    assert found.evictions == 1


def test_what_began_after_the_last_look_is_new_unless_it_may_have_been_evicted():
    began = (NOON - DAY / 2).isoformat()
    fresh = {"a": (5, 50.0, 0.0, began)}
    assert between(statements({}), statements(fresh)).spent["a"].new
    assert not between(statements({}), statements(fresh, evictions=1)).spent["a"].new
    assert not between(statements({"a": (1, 1.0, 0.0, None)}), statements(fresh)).spent["a"].new


def test_what_was_not_kept_yesterday_is_not_judged_and_not_new():
    found = between(statements({}, floor_ms=500.0), statements({"a": (5, 800.0)}))
    assert found.unjudged == {"a": "it was not among those that are kept"}


def test_two_samples_of_one_day_count_once():
    hours = [30, 29, 26, 25, 3, 0.1]
    samples = [Sample(NOON - h * DAY / 24, {"h": h}) for h in hours]
    assert [sample.facts["h"] for sample in daily_samples(samples, NOON)] == [25]
    week = [Sample(NOON - n * DAY, {"n": n}) for n in range(7, 0, -1)]
    assert daily_samples(week, NOON) == week


@pytest.mark.parametrize(
    ("old", "new", "reset_days_ago", "expected"),
    [
        ([1, 5], [4, 5], 9, [3, 0]),
        ([1, 5], [2, 3], 9, None),
        ([1, 5], [2, 3], 0.5, [2, 3]),
        ([1, 5], [2, 6], None, [1, 1]),
    ],
)
def test_growth_of_counters(old, new, reset_days_ago, expected):
    reset = None if reset_days_ago is None else (NOON - reset_days_ago * DAY).isoformat()
    assert grown(old, new, reset, YESTERDAY) == expected


costs = st.dictionaries(
    st.sampled_from("abcd"), st.tuples(st.integers(0, 1000), st.floats(0, 1e9), st.floats(0, 1e9), st.none())
)


@given(costs, costs, st.booleans(), st.integers(0, 2), st.none() | st.floats(0, 10))
def test_nothing_is_ever_negative_or_both_judged_and_not(old, new, reset, evictions, floor_ms):
    found = between(
        statements(old, floor_ms=floor_ms),
        statements(new, reset=NOON - DAY / 2 if reset else None, evictions=evictions),
    )
    assert not set(found.spent) & set(found.unjudged)
    assert set(found.spent) | set(found.unjudged) <= set(new)
    for spent in found.spent.values():
        assert spent.calls > 0
        assert spent.milliseconds >= 0
        assert spent.temp_bytes >= 0


def databases(**counters):
    return {"databases": {name: [*figures, None] for name, figures in counters.items()}}


def test_a_counter_of_all_databases_grows_by_the_day():
    before = Sample(NOON, databases(app=(10, 0, 1), gone=(5, 0, 5)))
    after = Sample(NOON + 2 * DAY, databases(app=(30, 0, 1), new=(4, 0, 8)))
    assert grown_in_all(before, after, 0) == 12
    assert grown_in_all(before, after, 2) == 4


def test_a_counter_that_shrank_says_nothing_of_all():
    before, after = Sample(NOON, databases(app=(10, 0, 1))), Sample(NOON + DAY, databases(app=(9, 0, 1)))
    assert grown_in_all(before, after, 0) is None
