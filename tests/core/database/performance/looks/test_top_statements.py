from tdev_operators.core.database.performance.looks.top_statements import look
from tdev_operators.core.verdicts import Verdict
from tests.analysed import day_of, statements

HOUR_MS = 3_600_000.0


def test_the_day_is_shared_out():
    day = day_of(
        "statements",
        statements({"1:10:t": (200, 4 * HOUR_MS), "2:10:t": (50, 3 * HOUR_MS)}),
        statements({"1:10:t": (100, HOUR_MS), "2:10:t": (40, 2 * HOUR_MS)}),
    )
    found = look(day)
    assert found.verdict is Verdict.OK
    assert found.details[0].startswith("75 % (3 h, 100 calls of 108,000 ms): 1 (t_developer) SELECT 1:10:t")
    assert found.details[0] in found.summary


def test_a_statement_that_keeps_more_than_a_session_busy_is_a_warning_and_many_sessions_are_critical():
    before = statements({"1:10:t": (1, 1.0)})
    warned = look(day_of("statements", statements({"1:10:t": (200, 30 * HOUR_MS)}), before))
    assert warned.verdict is Verdict.WARNING
    assert "kept 1.2 sessions busy" in warned.summary
    assert look(day_of("statements", statements({"1:10:t": (200, 200 * HOUR_MS)}), before)).verdict is Verdict.CRITICAL


def test_the_first_day_shows_what_the_counters_have_and_says_that_it_compares_nothing():
    found = look(day_of("statements", statements({"1:10:t": (10, 9000.0), "2:10:t": (1, 10_000.0)})))
    assert found.verdict is Verdict.OK
    assert found.summary.startswith("Nothing to compare with yet: this is the first day.")
    assert [line.partition(":")[0] for line in found.details] == ["10.0 s in 1 calls", "9.0 s in 10 calls"]


def test_no_statement_at_all_is_unknown():
    found = look(day_of("statements", statements({})))
    assert found.verdict is Verdict.UNKNOWN
    assert "compute_query_id" in found.summary
