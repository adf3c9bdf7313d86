"""The forecast is a pure function of past drills and of sizes."""

from datetime import UTC, datetime, timedelta

import pytest

from tdev_operators.core.drill.forecast import GB, Size, Timed, fit, forecast, grown, model

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def timed(gigabytes, objects=1000, **phases):
    return Timed(Size(int(gigabytes * GB), objects), phases)


def test_two_sizes_give_what_is_fixed_and_what_grows():
    line = fit([(1.0, 12.0), (2.0, 22.0), (4.0, 42.0)])
    assert (round(line.fixed, 6), round(line.per_unit, 6)) == (2.0, 10.0)


def test_one_size_is_taken_to_grow_with_it():
    line = fit([(2.0, 20.0), (2.0, 22.0)])
    assert (line.fixed, line.per_unit) == (0.0, 10.5)


def test_nothing_takes_less_when_it_is_larger_and_nothing_takes_less_than_nothing():
    falling = fit([(1.0, 30.0), (2.0, 20.0)])
    assert (falling.fixed, falling.per_unit) == (30.0, 0.0), "the longest of them, whatever the size"
    steep = fit([(2.0, 1.0), (3.0, 10.0)])
    assert steep.fixed == 0.0
    assert steep.per_unit > 0


def test_a_size_of_nothing_is_no_division_by_it():
    assert fit([(0.0, 3.0)]).at(5) == 3.0


def test_phases_grow_with_what_they_are_about():
    lines = model(
        [
            timed(1, 1000, data=10.0, buckets=1.0, application=3.0),
            timed(2, 3000, data=20.0, buckets=3.0, application=5.0),
        ]
    )
    seconds = forecast(lines, Size(int(4 * GB), 2000))
    assert {name: round(took, 3) for name, took in seconds.items()} == {
        "data": 40.0,
        "buckets": 2.0,
        "application": 4.0,
    }


def test_a_phase_that_came_later_is_judged_by_the_drills_that_had_it():
    lines = model([timed(1, data=10.0), timed(2, data=20.0, verify=8.0)])
    assert forecast(lines, Size(int(2 * GB), 0))["verify"] == pytest.approx(8.0)


def test_sizes_grow_on_as_they_grew_and_never_shrink():
    days = [(NOON + timedelta(days=day), Size(100 + 10 * day, 50)) for day in range(5)]
    assert grown(days, NOON + timedelta(days=34)) == Size(440, 50)
    shrinking = [(NOON + timedelta(days=day), Size(100 - 10 * day, 50 - day)) for day in range(5)]
    assert grown(shrinking, NOON + timedelta(days=34)) == Size(60, 46)
    assert grown(days[:1], NOON + timedelta(days=34)) == Size(100, 50)


def test_an_hour_foretells_no_month():
    hour = [(NOON + timedelta(minutes=minute), Size(100 + minute, 50)) for minute in range(60)]
    assert grown(hour, NOON + timedelta(days=31)) == Size(159, 50)
    assert grown(hour, NOON + timedelta(hours=5)).database_bytes > 300
