"""When the window is open: Sunday 02:00 to 06:00 UTC, whatever time zone the question is asked in."""

from datetime import UTC, datetime, time, timedelta, timezone

import pytest

from tdev_operators.core.maintenance_window import is_open, next_opening
from tdev_operators.core.settings import MaintenanceWindow

WINDOW = MaintenanceWindow(weekday="sunday", start=time(2), end=time(6))
SUNDAY = datetime(2026, 11, 29, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "open_", "opens"),
    [
        (SUNDAY + timedelta(hours=1, minutes=59), False, SUNDAY + timedelta(hours=2)),
        (SUNDAY + timedelta(hours=2), True, SUNDAY + timedelta(hours=2)),
        (SUNDAY + timedelta(hours=5, minutes=59), True, SUNDAY + timedelta(hours=2)),
        (SUNDAY + timedelta(hours=6), False, SUNDAY + timedelta(days=7, hours=2)),
        (SUNDAY + timedelta(days=1, hours=3), False, SUNDAY + timedelta(days=7, hours=2)),
        (SUNDAY - timedelta(seconds=1), False, SUNDAY + timedelta(hours=2)),
    ],
)
def test_the_window(moment, open_, opens):
    for zone in (UTC, timezone(timedelta(hours=14)), timezone(-timedelta(hours=9, minutes=30))):
        assert is_open(WINDOW, moment.astimezone(zone)) is open_
        assert next_opening(WINDOW, moment.astimezone(zone)) == opens
