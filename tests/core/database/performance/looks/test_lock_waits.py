from types import SimpleNamespace

import pytest

from tdev_operators.core.database.performance.looks.lock_waits import look
from tdev_operators.core.verdicts import Verdict
from tests.analysed import day_of


def system(*waited):
    rows = [
        {
            "by_design": False,
            "waited_seconds": seconds,
            "pid": 7,
            "who": "app",
            "mode": "ShareLock",
            "target": "metrics",
            "blockers": "pid 8",
        }
        for seconds in waited
    ]
    return SimpleNamespace(database=SimpleNamespace(rows=lambda *_: rows))


def activity(deadlocks, *, logged=True):
    return {"databases": {"app": [0.0, 0, deadlocks, None]}, "logs_lock_waits": logged}


@pytest.mark.parametrize(("more", "verdict"), [(1, Verdict.OK), (6, Verdict.WARNING), (100, Verdict.CRITICAL)])
def test_deadlocks_of_a_day(more, verdict):
    found = look(day_of("activity", activity(50 + more), activity(50), system=system()))
    assert found.verdict is verdict
    assert f"{more} deadlocks since" in found.summary


@pytest.mark.parametrize(
    ("seconds", "verdict"), [(5.0, Verdict.OK), (61.0, Verdict.WARNING), (500.0, Verdict.CRITICAL)]
)
def test_who_waits_now_is_judged_on_the_first_day_too(seconds, verdict):
    found = look(day_of("activity", activity(0, logged=False), system=system(seconds)))
    assert found.verdict is verdict
    assert found.details == (
        f"pid 7 (app) waits {seconds:.0f} s for ShareLock on metrics behind pid 8",
        "log_lock_waits is off: waits between two looks leave no trace; turn it on.",
    )
