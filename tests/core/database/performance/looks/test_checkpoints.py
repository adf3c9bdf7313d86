import pytest

from tdev_operators.core.database.performance.looks.checkpoints import look
from tdev_operators.core.verdicts import Verdict
from tests.analysed import day_of


def activity(timed, requested, reset=None):
    return {"checkpoints": [timed, requested, 1.0], "checkpoints_reset": reset}


@pytest.mark.parametrize(
    ("timed", "requested", "verdict"),
    [(280, 8, Verdict.OK), (40, 40, Verdict.WARNING), (1, 99, Verdict.CRITICAL), (1, 8, Verdict.OK)],
)
def test_the_share_of_requested_checkpoints(timed, requested, verdict):
    found = look(day_of("activity", activity(1000 + timed, 50 + requested), activity(1000, 50)))
    assert found.verdict is verdict
    assert f"{requested} of {timed + requested} checkpoints were requested" in found.summary


def test_counters_that_shrank_without_a_reset_are_unknown_and_a_first_day_is_said():
    assert look(day_of("activity", activity(3, 0), activity(1000, 50))).verdict is Verdict.UNKNOWN
    assert look(day_of("activity", activity(3, 0))).summary.startswith("Nothing to compare with yet")
