"""The rotation: within `reverify_days` every entry is due, whatever happens to the schedule."""

from datetime import timedelta

import pytest

from tdev_operators.core.backup.buckets.index import Entry
from tdev_operators.core.backup.buckets.rotation import Ages
from tests.backup_sets import NINE_PM
from tests.core.backup.buckets.worlds import settings

DAY = timedelta(days=1)


def entry(number, verified_at=NINE_PM, sha256="5f"):
    key = f"{number:06d}"
    return Entry(key, 1, "e", NINE_PM, sha256, "000001", "at", 0, 1, verified_at)


def one_run(entries, now, last, **changes):
    """Return the entries after a run that finds everything right, and how many were due."""
    ages = Ages(now)
    for one in entries:
        ages.add(one)
    rotation = ages.plan(last, settings(**changes))
    after = [(one._replace(verified_at=now), True) if rotation.due(one) else (one, False) for one in entries]
    return [one for one, _ in after], sum(due for _, due in after)


def test_daily_runs_read_everything_within_reverify_days_in_even_shares():
    entries = [entry(n) for n in range(997)]
    shares = []
    for day in range(1, 91):
        now = NINE_PM + day * DAY
        entries, due = one_run(entries, now, now - DAY)
        shares.append(due)
        assert min(one.verified_at for one in entries) >= now - 30 * DAY
    assert (min(shares), max(shares)) == (34, 45)


@pytest.mark.parametrize("pause", [7, 29, 45, 400])
def test_what_a_pause_made_overdue_is_read_at_once(pause):
    entries = [entry(n) for n in range(300)]
    now = NINE_PM + pause * DAY
    entries, due = one_run(entries, now, NINE_PM)
    assert due >= min(300, 300 * pause // 30)
    if pause >= 29:
        assert due == 300


def test_runs_in_a_row_read_the_sample_alone():
    entries = [entry(n) for n in range(1_000)]
    for minute in range(5):
        now = NINE_PM + timedelta(minutes=minute + 1)
        entries, due = one_run(entries, now, now - timedelta(minutes=1), sample_percent=2)
        assert due == 20


def test_the_longest_unread_come_first_and_those_of_one_day_in_the_order_of_their_keys():
    entries = [
        entry(0, NINE_PM + 5 * DAY),
        entry(1, NINE_PM + 2 * DAY),
        entry(2, NINE_PM + 5 * DAY),
        entry(3, NINE_PM + 9 * DAY),
    ]
    order = []
    for day in range(10, 14):
        now = NINE_PM + day * DAY
        before = entries
        entries, due = one_run(entries, now, now, sample_percent=25)
        assert due == 1
        order += [one.key for one, was in zip(entries, before, strict=True) if one != was]
    assert order == ["000001", "000000", "000002", "000003"]


def test_dates_of_the_future_come_from_a_wrong_clock_and_are_read_first():
    entries = [entry(0, NINE_PM), entry(1, NINE_PM + 900 * DAY), entry(2, NINE_PM)]
    entries, due = one_run(entries, NINE_PM + DAY, NINE_PM, sample_percent=1)
    assert due == 1
    assert entries[1].verified_at == NINE_PM + DAY


def test_a_clock_that_went_back_reads_the_sample_and_what_lies_in_the_future():
    entries = [entry(n, NINE_PM + DAY) for n in range(100)]
    _, due = one_run(entries, NINE_PM, NINE_PM + DAY, sample_percent=3)
    assert due == 100  # better too much than never


def test_nothing_is_due_of_nothing():
    ages = Ages(NINE_PM)
    rotation = ages.plan(NINE_PM - DAY, settings())
    assert not rotation.due(entry(0))
