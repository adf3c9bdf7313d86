"""evolution.constraint_violations."""

import pytest

from tdev_operators.core.errors import AccessDeniedError
from tdev_operators.core.health.evolution import constraint_violations
from tdev_operators.core.verdicts import Verdict


def test_none_is_ok(ports, shipped, history, tell):
    history.run(tell())
    result = constraint_violations.check(ports(database=history.look), shipped)
    assert result.verdict is Verdict.OK
    assert result.summary == "0 of 48 history rows of the last 24 h broke constraints."


def test_violations_are_named_by_agent(ports, shipped, history, tell):
    history.run(tell(met="NOT (name = 'beta' AND generation > 21)"))
    result = constraint_violations.check(ports(database=history.look), shipped)
    assert result.verdict is Verdict.CRITICAL
    assert result.summary == "3 of 48 history rows of the last 24 h broke constraints, by agents beta (3)."


def test_old_violations_do_not_count(ports, shipped, history, tell):
    history.run(tell(met="generation > 4", shift=4))
    assert constraint_violations.check(ports(database=history.look), shipped).verdict is Verdict.OK


def test_no_history_is_unknown(ports, shipped, history):
    result = constraint_violations.check(ports(database=history.look), shipped)
    assert result.verdict is Verdict.UNKNOWN
    assert result.because_of == "evolution.generation_age"


def test_hidden_rows_are_not_judged(ports, shipped, history, tell):
    history.run(
        tell(),
        "ALTER TABLE evolution_history ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY shown ON evolution_history TO public USING (constraints_met)",
    )
    with pytest.raises(AccessDeniedError, match="Row security"):
        constraint_violations.check(ports(database=history.look), shipped)
