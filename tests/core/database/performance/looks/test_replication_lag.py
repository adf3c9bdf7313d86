from types import SimpleNamespace

import pytest

from tdev_operators.core.database.performance.looks.replication_lag import look
from tdev_operators.core.verdicts import Verdict
from tests.analysed import day_of


def at(*standbys):
    rows = [{"standby": name, "lag_seconds": seconds, "lag_mb": mb} for name, seconds, mb in standbys]
    return day_of("activity", {}, system=SimpleNamespace(database=SimpleNamespace(rows=lambda *_: rows)))


@pytest.mark.parametrize(
    ("standbys", "verdict"),
    [
        ((), Verdict.OK),
        ((("b", 1.0, 3.0),), Verdict.OK),
        ((("b", 1.0, 3.0), ("c", 70.0, 3.0)), Verdict.WARNING),
        ((("b", 1.0, 3000.0),), Verdict.CRITICAL),
    ],
)
def test_lag_is_held_against_the_health_checks_limits(standbys, verdict):
    found = look(at(*standbys))
    assert found.verdict is verdict
    assert found.coverage.seen == ("primary", *(name for name, _, _ in standbys))


def test_a_standby_that_is_expected_and_missing_is_critical():
    day = at()
    limits = day.settings.health.database.model_copy(update={"expected_replicas": 1})
    health = day.settings.health.model_copy(update={"database": limits})
    object.__setattr__(day, "settings", day.settings.model_copy(update={"health": health}))
    assert look(day).verdict is Verdict.CRITICAL
