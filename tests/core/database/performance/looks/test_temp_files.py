import pytest

from tdev_operators.core.database.performance.looks.temp_files import look
from tdev_operators.core.verdicts import Verdict
from tests.analysed import DAY, day_of
from tests.records import NOON

GB = 1e9


def activity(temp_bytes, reset=None):
    return {"databases": {"app": [temp_bytes, 3, 0, reset]}}


@pytest.mark.parametrize(
    ("wrote", "verdict"), [(1 * GB, Verdict.OK), (21 * GB, Verdict.WARNING), (201 * GB, Verdict.CRITICAL)]
)
def test_a_days_temporary_files_are_held_against_the_limit(wrote, verdict):
    found = look(day_of("activity", activity(5 * GB + wrote), activity(5 * GB)))
    assert found.verdict is verdict
    assert f"{wrote / GB:.0f}" in found.summary


def test_two_days_between_samples_are_two_days():
    found = look(day_of("activity", activity(35 * GB), activity(5 * GB), days_ago=(2,)))
    assert found.verdict is Verdict.OK, "15 GB a day"


def test_after_a_reset_what_came_since_counts_and_a_crash_is_unknown():
    reset = (NOON - DAY / 2).isoformat()
    assert look(day_of("activity", activity(30 * GB, reset), activity(50 * GB))).verdict is Verdict.WARNING
    assert look(day_of("activity", activity(30 * GB), activity(50 * GB))).verdict is Verdict.UNKNOWN


def test_without_statement_statistics_it_says_that_the_users_are_not_known():
    day = day_of("activity", activity(GB), activity(0))
    assert look(day).details == ("Which statements wrote them is not known: app keeps no statement statistics: do it.",)
