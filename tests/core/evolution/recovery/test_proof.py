"""What counts as a generation that was made since the restart."""

from datetime import UTC, datetime, timedelta

import pytest

from tdev_operators.core.evolution.recovery.proof import Floor, Generation, parted

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NOW = START + timedelta(minutes=70)


@pytest.mark.parametrize(
    ("minutes", "real"),
    [(60, True), (0, True), (-0.9, True), (70.9, True), (-1.1, False), (-3000, False), (71.1, False), (500, False)],
)
def test_it_bears_a_time_between_the_restart_and_now_give_or_take_the_clocks(minutes, real):
    one = Generation(7, START + timedelta(minutes=minutes), 10)
    found = parted([(one, NOW)], START)
    assert (found.real, found.odd) == (((one,), ()) if real else ((), (one,)))


def test_the_wait_begins_anew_with_each_real_one():
    first, odd = Generation(7, START + timedelta(minutes=60), 10), Generation(8, START - timedelta(days=1), 10)
    found = parted([(first, NOW), (odd, NOW)], START)
    assert found.last_at(START) == first.first_at
    assert parted([(odd, NOW)], START).last_at(START) == START
    assert first.told == "7 at 13:00:00 UTC (10 evaluations)"


@pytest.mark.parametrize(
    ("numbers", "real"),
    [((121, 122), (121, 122)), ((130, 121, 122), (121, 122)), ((121, 120), (120,)), ((121, 122, 130), (121, 122, 130))],
)
def test_numbers_rise_from_one_to_the_next_and_a_fall_begins_anew(numbers, real):
    found = [(Generation(number, START + timedelta(minutes=at), 10), NOW) for at, number in enumerate(numbers)]
    assert tuple(one.number for one in parted(sorted(found, key=lambda each: each[0].number), START).real) == real


@pytest.mark.parametrize(("checkpoint", "base"), [(120, 120), (None, 129), (130, 129)])
def test_numbers_may_come_again_from_the_checkpoint_on_that_was_used(checkpoint, base):
    kept = {"highest": 129, "at": START.isoformat(), "newest": (START + timedelta(seconds=30)).isoformat()}
    floor = Floor.of(kept, checkpoint)
    assert (floor.base, floor.newest) == (base, START + timedelta(seconds=30))
    assert Floor.of({**kept, "newest": ""}).newest == START
    assert Floor.of({**kept, "newest": NOW.replace(year=2020).isoformat()}).newest == START
