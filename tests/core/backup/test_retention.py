"""Which sets stay: rules, guards, and what must hold whatever happens."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdev_operators.core.backup.manifest import State
from tdev_operators.core.backup.retention import plan_retention
from tdev_operators.core.backup.settings import KeepRules

NOW = datetime(2026, 11, 25, 23, 0, tzinfo=UTC)
A_DAY = timedelta(days=1)


@dataclass(frozen=True)
class One:
    sequence: int
    recovery_point: datetime
    state: State = State.PROVEN
    has_manifest: bool = True

    @property
    def set_id(self):
        return f"{self.sequence:06d}-20261125T210000Z-0f3a9c"


def rules(last=1, daily=0, weekly=0, monthly=0, yearly=0):
    return KeepRules(last=last, daily=daily, weekly=weekly, monthly=monthly, yearly=yearly)


def plan(sets, keep=None, now=NOW, **more):
    options = {"keep_unproven_days": 14, "max_delete_percent": 100, "known_before": 0, "store_now": now, **more}
    return plan_retention(sets, now, keep or rules(), **options)


def nightly(count, state=State.PROVEN):
    """Return one set a night, the newest tonight's."""
    return [One(count - night, NOW - 2 * timedelta(hours=1) - night * A_DAY, state) for night in range(count)]


def kept(found):
    return [int(set_id[:6]) for set_id in found.keep]


# Rules


def test_the_last_so_many_stay():
    assert kept(plan(nightly(10), rules(last=3))) == [10, 9, 8]


def test_of_each_day_the_newest_stays():
    sets = [One(n, NOW - timedelta(hours=6 * (12 - n))) for n in range(1, 13)]
    found = plan(sets, rules(daily=2))
    days = {sets[n - 1].recovery_point.date(): n for n in range(1, 13)}
    assert kept(found) == sorted(days.values(), reverse=True)[:2]


def test_a_year_of_nights_leaves_days_weeks_months_and_years():
    found = plan(nightly(800), rules(last=7, daily=14, weekly=8, monthly=12, yearly=3))
    points = {one.set_id: one.recovery_point for one in nightly(800)}
    left = [points[set_id] for set_id in found.keep]
    assert len({at.date() for at in left if at > NOW - 14 * A_DAY}) == 14
    assert len({at.isocalendar()[:2] for at in left}) >= 8
    assert len({(at.year, at.month) for at in left if at > NOW - 365 * A_DAY}) == 12
    assert {at.year for at in left} == {2024, 2025, 2026}
    assert len(left) < 40
    reasons = {one.set_id: one.reason for one in found.decisions}
    assert reasons[found.keep[0]].startswith("newest PROVEN, last 7, daily 2026-11-25, weekly 2026-W48")


def test_only_proven_sets_are_counted():
    sets = [*nightly(5, State.READABLE), *[replace(one, sequence=one.sequence - 5) for one in nightly(0)]]
    sets += [One(0, NOW - 60 * A_DAY)]
    assert 0 in kept(plan(sets, rules(last=1)))


@pytest.mark.parametrize("state", [State.COMPLETE, State.READABLE])
@pytest.mark.parametrize(("days", "stays"), [(13, True), (15, False)])
def test_what_was_never_proven_goes_when_it_is_old(state, days, stays):
    sets = [One(1, NOW - days * A_DAY, state), One(2, NOW - A_DAY)]
    assert (1 in kept(plan(sets))) is stays


def test_what_was_never_proven_stays_while_nothing_newer_is():
    sets = [One(1, NOW - 90 * A_DAY), One(2, NOW - 60 * A_DAY, State.COMPLETE)]
    assert kept(plan(sets)) == [2, 1]
    assert kept(plan([One(2, NOW - 60 * A_DAY, State.READABLE)])) == [2]


def test_staged_and_unreadable_sets_are_not_retentions_matter():
    sets = [
        One(1, NOW - 90 * A_DAY, State.STAGED, has_manifest=False),
        One(2, NOW - 90 * A_DAY, State.STAGED),
        One(3, NOW),
    ]
    found = plan(sets)
    assert kept(found) == [3, 2, 1]
    assert found.decisions[1].reason == "its manifest cannot be read; a human decides"


# Guards


def test_a_plan_that_takes_too_much_is_refused():
    assert plan(nightly(3), rules(last=2), max_delete_percent=34).remove == (nightly(3)[2].set_id,)
    found = plan(nightly(3), rules(last=1), max_delete_percent=34)
    assert found.remove == ()
    assert len(found.keep) == 3
    assert found.refusal.startswith("2 of 3 sets would go, more than the 34 % that backup.max_delete_percent allows")


def test_an_empty_listing_is_refused_when_sets_are_known():
    assert "the listing is empty" in plan([], known_before=3, max_delete_percent=34).refusal
    assert plan([], known_before=0).refusal == ""
    assert "3 stood there before" in plan(nightly(1), known_before=3, max_delete_percent=34).refusal
    assert plan(nightly(2), rules(last=5), known_before=3, max_delete_percent=34).refusal == ""


@pytest.mark.parametrize("skew", [timedelta(minutes=6), timedelta(minutes=-6), 400 * A_DAY])
def test_a_clock_that_disagrees_with_the_stores_is_refused(skew):
    found = plan(nightly(3), store_now=NOW + skew)
    assert (found.remove, "our clock says" in found.refusal) == ((), True)
    assert plan(nightly(3), store_now=NOW + timedelta(minutes=4)).refusal == ""


def test_a_now_before_the_newest_set_is_refused():
    found = plan(nightly(3), now=NOW - A_DAY)
    assert (found.remove, "later than now" in found.refusal) == ((), True)


def test_the_diff_is_for_people():
    lines = plan([*nightly(3), One(4, NOW, State.COMPLETE)], rules(last=2)).to_text().splitlines()
    assert lines[0].endswith("-0f3a9c  COMPLETE  2026-11-25 23:00 UTC  not proven, and nothing newer is")
    assert lines[3] == "- 000001-20261125T210000Z-0f3a9c  PROVEN    2026-11-23 21:00 UTC  no rule keeps it any more"
    assert lines[4] == "1 set of 4 would go."
    refused = plan(nightly(3), max_delete_percent=1).to_text()
    assert refused.splitlines()[-1].startswith("Refused, nothing is removed: 2 of 3 sets")
    assert plan(nightly(1)).to_text().endswith("Nothing goes.")


# Whatever happens

moments = st.integers(0, 15 * 365 * 24 * 60).map(
    lambda minutes: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)
counts = st.integers(0, 5)
keeps = st.builds(rules, st.integers(1, 5), counts, counts, counts, counts)
piles = st.lists(
    st.builds(One, st.integers(1, 60), moments, st.sampled_from(State), st.booleans()),
    unique_by=lambda one: one.sequence,
    max_size=40,
)


def newest_proven(sets):
    return max((one for one in sets if one.state is State.PROVEN), key=lambda one: one.sequence, default=None)


@given(piles, keeps, moments, moments, st.integers(0, 100), st.integers(0, 50))
def test_the_newest_proven_set_always_stays(sets, keep, now, store_now, percent, known):
    found = plan(sets, keep, now, store_now=store_now, max_delete_percent=percent, known_before=known)
    newest = newest_proven(sets)
    assert newest is None or newest.set_id in found.keep
    assert newest is not None or not found.remove, "without a proof nothing goes"
    assert sorted([*found.keep, *found.remove]) == sorted(one.set_id for one in sets)
    assert len(found.remove) * 100 <= percent * len(sets)


@given(piles, keeps, moments)
def test_a_plan_made_again_removes_nothing_more(sets, keep, now):
    first = plan(sets, keep, now)
    left = [one for one in sets if one.set_id in first.keep]
    assert plan(left, keep, now).remove == ()


@given(piles, keeps, moments, st.randoms(use_true_random=False))
def test_the_order_of_the_sets_means_nothing(sets, keep, now, chance):
    shuffled = list(sets)
    chance.shuffle(shuffled)
    assert plan(shuffled, keep, now) == plan(sets, keep, now)


@given(piles, keeps, st.lists(moments, min_size=1, max_size=4))
def test_clocks_that_jump_never_empty_the_bucket(sets, keep, jumps):
    left = list(sets)
    for now in jumps:
        found = plan(left, keep, now)
        left = [one for one in left if one.set_id in found.keep]
    proven = sorted((one for one in sets if one.state is State.PROVEN), key=lambda one: one.sequence)
    for one in proven[-keep.last :]:
        assert one in left
    assert left or not sets
