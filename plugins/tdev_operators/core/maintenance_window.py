"""The maintenance window: when a service may be interrupted without asking a human. Pure functions of time."""

from datetime import UTC, datetime, timedelta

from tdev_operators.core.errors import InputError
from tdev_operators.core.settings import MaintenanceWindow

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def is_open(window: MaintenanceWindow, moment: datetime) -> bool:
    """Whether an aware moment lies inside the window; its end does not."""
    return next_opening(window, moment) <= moment


def next_opening(window: MaintenanceWindow, moment: datetime) -> datetime:
    """Return when the window opens next (UTC); while it is open, when it opened."""
    moment = moment.astimezone(UTC)
    days = (_WEEKDAYS.index(window.weekday) - moment.weekday()) % 7
    start = datetime.combine(moment.date() + timedelta(days=days), window.start, UTC)
    is_over = days == 0 and moment.time() >= window.end
    return start + timedelta(weeks=1) if is_over else start


def refuse_closed(window: MaintenanceWindow, moment: datetime, what: str) -> None:
    """Refuse what interrupts others outside the maintenance window; `what` begins the sentence.

    Raises:
        InputError: it names the next opening.
    """
    if not is_open(window, moment):
        raise InputError(
            f"{what}, and the maintenance window opens at {next_opening(window, moment):%Y-%m-%d %H:%M} UTC; start it "
            "then, or tick *Now* and have that approved."
        )
