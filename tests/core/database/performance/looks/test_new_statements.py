from tdev_operators.core.database.performance.looks.new_statements import look
from tdev_operators.core.verdicts import Verdict
from tests.analysed import DAY, day_of, statements
from tests.records import NOON

OLD = {"1:10:t": (100, 1000.0)}
HOUR_MS = 3_600_000.0


def after(milliseconds):
    """The day after one on which statement 1 took an hour, and 2 is new."""
    return day_of(
        "statements",
        statements({"1:10:t": (200, 1000.0 + HOUR_MS), "2:10:t": (5, milliseconds)}),
        statements(OLD),
    )


def test_a_new_statement_is_told_and_one_that_costs_much_is_red():
    cheap = look(after(50.0))
    assert cheap.verdict is Verdict.OK
    assert cheap.summary.startswith("1 statements are new since ")
    assert "SELECT 2:10:t" in cheap.details[0]
    assert look(after(HOUR_MS / 2)).verdict is Verdict.WARNING
    most = look(after(5 * HOUR_MS))
    assert most.verdict is Verdict.CRITICAL
    assert "New, and already 83 %" in most.summary


def test_on_an_idle_server_a_new_statement_may_take_all_of_the_time():
    found = look(day_of("statements", statements({**OLD, "2:10:t": (5, 290_000.0)}), statements(OLD)))
    assert found.verdict is Verdict.OK
    assert found.details[0].startswith("100 % (")


def test_after_a_reset_nothing_is_called_new():
    found = look(day_of("statements", statements({"2:10:t": (5, 500.0)}, reset=NOON - DAY / 2), statements(OLD)))
    assert found.verdict is Verdict.OK
    assert "reset" in found.summary


def test_the_first_day_says_so():
    assert look(day_of("statements", statements(OLD))).summary.startswith("Nothing to compare with yet")
