from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.timetables.base import DataInterval, TimeRestriction
from pendulum import datetime as moment

from tdev_operators.core.calendar_slots import Calendar, Slot
from tdev_operators.operators import schedule
from tdev_operators.operators.schedule import CalendarTimetable, ItemQueuedDeadline, item_deadlines, item_form

CALENDAR = Calendar(
    "daily",
    1,
    {
        "health_check": Slot("0 9 * * *", 15, "critical", "DevOps"),
        "backup": Slot("0 21 * * *", 60, "critical", "DevOps"),
    },
)
NO_LIMITS = TimeRestriction(earliest=None, latest=None, catchup=False)


@pytest.fixture
def now(monkeypatch):
    def set_now(text: str) -> None:
        fixed = datetime.fromisoformat(text).replace(tzinfo=UTC)
        monkeypatch.setattr(schedule, "utc_now", lambda: fixed)

    return set_now


def next_slot(last, restriction=NO_LIMITS):
    interval = last and DataInterval.exact(last)
    return CalendarTimetable(CALENDAR).next_dagrun_info(last_automated_data_interval=interval, restriction=restriction)


def test_a_slot_missed_while_the_scheduler_was_down_is_run_late(now):
    now("2026-11-23T22:00")
    info = next_slot(moment(2026, 11, 22, 21))
    assert info.run_after == info.logical_date == moment(2026, 11, 23, 9)
    assert next_slot(info.logical_date).logical_date == moment(2026, 11, 23, 21)


def test_unpausing_a_fresh_tier_starts_at_the_next_slot(now):
    now("2026-11-23T12:00")
    assert next_slot(None).logical_date == moment(2026, 11, 23, 21)


def test_no_slot_after_the_end_date(now):
    now("2026-11-23T12:00")
    assert next_slot(None, TimeRestriction(earliest=None, latest=moment(2026, 11, 23, 20), catchup=False)) is None


def stored(slot):
    """What the scheduler's table holds when the slot was computed long ago."""
    return SimpleNamespace(
        dag_id="tdev_daily",
        next_dagrun=slot,
        next_dagrun_create_after=slot,
        next_dagrun_data_interval=DataInterval.exact(slot),
        next_dagrun_data_interval_start=slot,
        next_dagrun_data_interval_end=slot,
        next_dagrun_partition_date=None,
        next_dagrun_partition_key=None,
    )


def test_a_slot_that_was_stored_before_a_long_outage_is_let_go(now):
    now("2026-11-23T12:00")
    info = CalendarTimetable(CALENDAR).next_run_info_from_dag_model(dag_model=stored(moment(2026, 11, 20, 9)))
    assert info.logical_date == info.run_after == moment(2026, 11, 22, 21)


def test_a_stored_slot_within_the_period_is_run_as_it_stands(now):
    now("2026-11-23T12:00")
    info = CalendarTimetable(CALENDAR).next_run_info_from_dag_model(dag_model=stored(moment(2026, 11, 23, 9)))
    assert info.logical_date == info.run_after == moment(2026, 11, 23, 9)


def test_the_calendar_view_sees_every_slot(now):
    now("2026-11-23T12:00")
    info = next_slot(None, TimeRestriction(earliest=moment(2026, 1, 1), latest=None, catchup=True))
    assert info.logical_date == moment(2026, 1, 1, 9)


def test_the_timetable_survives_serialisation_with_its_calendar():
    from airflow.serialization.decoders import decode_timetable
    from airflow.serialization.encoders import encode_timetable

    again = decode_timetable(encode_timetable(CalendarTimetable(CALENDAR)))
    assert type(again) is CalendarTimetable
    assert again.calendar == CALENDAR
    assert again.summary == "0 9 * * *, 0 21 * * *"


def test_the_deadline_alerts_survive_serialisation_by_name():
    from airflow.serialization.decoders import decode_deadline_alert
    from airflow.serialization.encoders import encode_deadline_alert

    alerts = [decode_deadline_alert(encode_deadline_alert(alert)) for alert in item_deadlines(CALENDAR)]
    assert [(alert.name, alert.interval) for alert in alerts] == [
        ("health_check", timedelta(minutes=15)),
        ("backup", timedelta(minutes=60)),
    ]
    assert [alert.reference.inner_ref.item for alert in alerts] == ["health_check", "backup"]


class OneRun:
    """A session that knows one dag_run row."""

    def __init__(self, **row):
        self.row = SimpleNamespace(**row) if row else None

    def execute(self, _statement):
        return self

    def one_or_none(self):
        return self.row


QUEUED = datetime(2026, 11, 23, 9, 0, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"run_type": "scheduled", "logical_date": moment(2026, 11, 23, 9), "conf": None}, QUEUED),
        ({"run_type": "scheduled", "logical_date": moment(2026, 11, 23, 21), "conf": None}, None),
        ({"run_type": "scheduled", "logical_date": None, "conf": None}, None),
        ({"run_type": "manual", "logical_date": None, "conf": {"items": ["health_check"]}}, QUEUED),
        ({"run_type": "manual", "logical_date": None, "conf": {"items": ["backup"]}}, None),
        ({"run_type": "manual", "logical_date": None, "conf": {}}, QUEUED),
        ({"run_type": "manual", "logical_date": None, "conf": {"items": 7}}, None),
    ],
)
def test_a_deadline_is_in_force_only_in_runs_that_do_the_item_and_counts_from_queued(row, expected):
    reference = ItemQueuedDeadline(item="health_check", cron="0 9 * * *")
    session = OneRun(queued_at=QUEUED, **row)
    assert reference._evaluate_with(session=session, dag_id="tdev_daily", run_id="x") == expected


@pytest.mark.parametrize("session", [None, OneRun()])
def test_a_deadline_never_keeps_a_run_from_being_created(session):
    reference = ItemQueuedDeadline(item="health_check", cron="0 9 * * *")
    assert reference._evaluate_with(session=session, dag_id="tdev_daily", run_id="x") is None


def test_the_form_offers_every_item():
    field = item_form(CALENDAR)["items"]
    assert field.resolve() == ["health_check", "backup"]
    assert field.resolve(["backup"]) == ["backup"]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ([], "should be non-empty"),
        (["coffee"], "is not one of"),
        (["backup", "backup"], "has non-unique"),
        ("backup", "is not of type"),
    ],
)
def test_the_form_refuses_a_wrong_choice(wrong, why):
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError, match=why):
        item_form(CALENDAR)["items"].resolve(wrong)
