from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdev_operators.core.calendar_slots import Calendar, Slot, is_slot, next_slot, slot_to_run
from tdev_operators.core.errors import InputError

DAILY = Calendar(
    "daily",
    1,
    {
        "health_check": Slot("0 9 * * *", 15, "critical", "DevOps"),
        "evolution_metrics_review": Slot("0 10 * * *", 30, "high", "DevOps"),
        "backup": Slot("0 21 * * *", 60, "critical", "DevOps"),
    },
)
CRONS = tuple(slot.cron for slot in DAILY.items.values())
DAY = timedelta(days=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_slot_decides_the_items_of_a_scheduled_run():
    items = DAILY.items_of_run(run_type="scheduled", logical_date=at("2026-11-23T10:00"), chosen=["backup"])
    assert items == ("evolution_metrics_review",)


def test_a_scheduled_run_of_a_slot_that_the_calendar_no_longer_has_is_refused_and_not_green():
    with pytest.raises(InputError, match="due at 10:01 UTC: the calendar changed since this slot"):
        DAILY.items_of_run(run_type="scheduled", logical_date=at("2026-11-23T10:01"), chosen=None)


def test_the_slot_is_read_in_utc_whatever_the_zone_of_the_moment():
    new_york = datetime.fromisoformat("2026-11-23T04:00:00-05:00")
    assert is_slot("0 9 * * *", new_york)


def test_a_person_chooses_several_items_and_gets_them_in_the_order_of_the_day():
    items = DAILY.items_of_run(run_type="manual", logical_date=None, chosen=["backup", "health_check"])
    assert items == ("health_check", "backup")


@pytest.mark.parametrize("chosen", [[], None, "health_check", {}])
def test_an_empty_choice_is_refused_with_a_sentence(chosen):
    with pytest.raises(InputError, match="choose at least one of: health_check, evolution_metrics_review, backup"):
        DAILY.items_of_run(run_type="manual", logical_date=None, chosen=chosen)


def test_an_unknown_choice_is_refused_by_name():
    with pytest.raises(InputError, match="The daily tier has no item coffee; choose from: health_check"):
        DAILY.items_of_run(run_type="manual", logical_date=None, chosen=["coffee"])


def test_a_backfill_is_refused():
    with pytest.raises(InputError, match="trigger the tier by hand"):
        DAILY.items_of_run(run_type="backfill", logical_date=at("2026-11-23T09:00"), chosen=None)


@pytest.mark.parametrize("cron", ["", "9", "every day", "0 9 * * * *", "0 25 * * *"])
def test_a_wrong_cron_expression_is_refused(cron):
    with pytest.raises(InputError, match="five fields"):
        Slot(cron, 15, "critical", "DevOps")


def test_missed_slots_are_replayed_in_order():
    last, ran = at("2026-11-22T21:00"), []
    now = at("2026-11-23T10:30")
    while (slot := slot_to_run(CRONS, last_slot=last, now=now, period=DAY, earliest=None)) <= now:
        ran.append(slot)
        last = slot
    assert ran == [at("2026-11-23T09:00"), at("2026-11-23T10:00")]
    assert slot == at("2026-11-23T21:00")


def test_a_slot_older_than_one_period_is_let_go():
    now = at("2026-11-23T12:00")
    slot = slot_to_run(CRONS, last_slot=at("2026-11-01T09:00"), now=now, period=DAY, earliest=None)
    assert slot == at("2026-11-22T21:00")


def test_a_tier_that_never_ran_has_missed_nothing():
    slot = slot_to_run(CRONS, last_slot=None, now=at("2026-11-23T09:30"), period=DAY, earliest=None)
    assert slot == at("2026-11-23T10:00")


def test_the_first_slot_is_not_lost_between_its_moment_and_its_run():
    # The DAG processor may compute the next slot seconds after 09:00, before the scheduler has made the 09:00 run.
    slot = slot_to_run(CRONS, last_slot=None, now=at("2026-11-23T09:00:20"), period=DAY, earliest=None)
    assert slot == at("2026-11-23T09:00")


def test_nothing_runs_before_the_start_date():
    slot = slot_to_run(CRONS, last_slot=None, now=at("2026-11-23T09:30"), period=DAY, earliest=at("2026-11-30T09:00"))
    assert slot == at("2026-11-30T09:00")


@given(
    last=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
    now=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_the_next_slot_is_a_slot_after_the_last_and_not_older_than_a_period(last, now):
    slot = slot_to_run(CRONS, last_slot=last, now=now, period=DAY, earliest=None)
    assert any(is_slot(cron, slot) for cron in CRONS)
    assert slot > last
    assert slot > now - DAY


def test_next_slot_is_strictly_after():
    assert next_slot(CRONS, at("2026-11-23T09:00")) == at("2026-11-23T10:00")
