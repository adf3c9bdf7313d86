"""What is left of a life, and what that means: the guide's days, and the fraction for short-lived ones."""

from datetime import UTC, datetime, timedelta

import pytest

from tdev_operators.core.certificates.lifetime import Life
from tdev_operators.core.settings import load_settings
from tdev_operators.core.sql import include_dir
from tdev_operators.core.verdicts import Verdict

NOW = datetime(2026, 11, 30, 17, tzinfo=UTC)


@pytest.mark.parametrize(
    ("lifetime", "left", "due", "verdict"),
    [
        (365, 61, False, Verdict.OK),
        (365, 59, False, Verdict.WARNING),
        (365, 31, False, Verdict.WARNING),
        (365, 29, True, Verdict.CRITICAL),
        (180, 59, False, Verdict.WARNING),  # long-lived by a day
        (90, 31, False, Verdict.OK),
        (90, 29, True, Verdict.WARNING),
        (90, 22, True, Verdict.CRITICAL),
        (47, 20, False, Verdict.OK),  # the guide's 30 days would renew it every two weeks
        (47, 15, True, Verdict.WARNING),
        (47, 11, True, Verdict.CRITICAL),
        (6, 1.9, True, Verdict.WARNING),
        (365, -1, True, Verdict.CRITICAL),
    ],
)
def test_when_a_renewal_is_due_and_when_people_are_told(lifetime, left, due, verdict):
    limits = load_settings(include_dir() / "tdev.toml").health.security
    ends = NOW + timedelta(days=left)
    life = Life(ends - timedelta(days=lifetime), ends, NOW)
    assert (life.is_due(limits), life.verdict(limits)) == (due, verdict)
    days, percent = life.measurements("x", limits)
    assert (days.warning is None) == (lifetime < 180)
    assert (percent.warning is None) == (lifetime >= 180)


def test_one_that_has_not_begun_is_critical():
    limits = load_settings(include_dir() / "tdev.toml").health.security
    life = Life(NOW + timedelta(hours=1), NOW + timedelta(days=365), NOW)
    assert life.verdict(limits) is Verdict.CRITICAL
    assert life.sentence("x") == "The certificate of x is not valid before 2026-11-30 18:00 UTC."
