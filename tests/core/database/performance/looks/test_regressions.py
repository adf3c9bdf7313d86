import pytest

from tdev_operators.core.database.performance.looks.regressions import look
from tdev_operators.core.verdicts import Verdict
from tests.analysed import day_of, statements


def days(*means, calls=1000, **more):
    """Samples after days on which statement 1 took so many milliseconds a call; the last one is today's."""
    total, samples = 0.0, [statements({"1:10:t": (1, 0.0)})]
    for number, mean in enumerate(means, start=1):
        total += mean * calls
        samples.append(statements({"1:10:t": (1 + number * calls, total)}))
    return day_of("statements", samples[-1], *samples[:-1], **more)


@pytest.mark.parametrize(
    ("today", "verdict"), [(19.0, Verdict.OK), (21.0, Verdict.WARNING), (101.0, Verdict.CRITICAL), (1.0, Verdict.OK)]
)
def test_the_day_is_held_against_the_usual(today, verdict):
    found = look(days(10.0, 10.0, 9.0, 11.0, 10.0, today))
    assert found.verdict is verdict
    if verdict is not Verdict.OK:
        assert "times its usual 10 ms" in found.summary
        assert "SELECT 1:10:t" in found.summary


def test_one_bad_day_before_does_not_change_what_is_usual():
    assert look(days(10.0, 10.0, 900.0, 10.0, 10.0, 25.0)).verdict is Verdict.WARNING
    assert look(days(10.0, 10.0, 900.0, 10.0, 10.0, 12.0)).verdict is Verdict.OK


def test_few_calls_and_fast_statements_are_not_judged():
    few = look(days(10.0, 10.0, 10.0, 10.0, 500.0, calls=99))
    assert few.verdict is Verdict.OK
    assert few.summary.startswith("Nothing to compare with yet")
    assert look(days(0.1, 0.1, 0.1, 0.1, 4.9)).verdict is Verdict.OK


def test_without_enough_days_nothing_is_held_against_a_usual():
    assert look(days(10.0, 10.0, 500.0)).summary.startswith("Nothing to compare with yet")
    assert look(days()).summary == "Nothing to compare with yet: this is the first day."


def test_when_evictions_leave_nothing_to_judge_it_is_unknown():
    cost = {"1:10:t": (1000, 10_000.0)}
    more = {"1:10:t": (2000, 90_000.0)}
    found = look(day_of("statements", statements(more, evictions=7), *[statements(cost)] * 5))
    assert found.verdict is Verdict.UNKNOWN
    assert "raise pg_stat_statements.max" in found.summary
