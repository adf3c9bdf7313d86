"""Judging and concluding."""

import math

import pytest

from tdev_operators.core.health.findings import Findings, judge, some
from tdev_operators.core.setting_types import Ceiling, Floor
from tdev_operators.core.verdicts import Verdict

HIGH, LOW = Ceiling(warning=80, critical=90), Floor(warning=98, critical=90)


@pytest.mark.parametrize(
    ("value", "limits", "verdict"),
    [
        (79.9, HIGH, Verdict.OK),
        (80, HIGH, Verdict.WARNING),
        (90, HIGH, Verdict.CRITICAL),
        (98, LOW, Verdict.OK),
        (97.9, LOW, Verdict.WARNING),
        (90, LOW, Verdict.WARNING),
        (89.9, LOW, Verdict.CRITICAL),
        (math.nan, HIGH, Verdict.UNKNOWN),
        (math.nan, LOW, Verdict.UNKNOWN),
    ],
)
def test_judge(value, limits, verdict):
    assert judge(value, limits) is verdict


def test_nothing_seen_is_not_ok():
    assert Findings("health.database.x").conclude("Fine.").verdict is Verdict.UNKNOWN


def test_the_worst_comes_first_and_the_rest_is_counted():
    findings = Findings("tdev.health.database.x")
    findings.saw("a")
    for number in range(5):
        findings.found(Verdict.WARNING, f"Warning {number}.")
    findings.found(Verdict.CRITICAL, "Bad.")
    findings.found(Verdict.OK, "Never said.")
    result = findings.conclude("Fine.")
    assert result.check == "database.x"
    assert result.verdict is Verdict.CRITICAL
    assert result.summary == "Bad. Warning 0. Warning 1. Warning 2. And 2 more."


def test_a_figure_that_is_missing_is_unknown():
    findings = Findings("health.database.x")
    assert findings.measure("m", None, "s", HIGH) is Verdict.UNKNOWN
    assert findings.measure("m", 5.0) is Verdict.OK
    assert [m.critical for m in findings.conclude("").measurements] == [90, None]


def test_some():
    assert some(["a"]) == "a"
    assert some(["a", "b", "c", "d"]) == "a, b, c and 1 more"
