"""The whole daily analysis, day after day, on real servers."""

from pathlib import Path

import pytest

from tdev_operators.core.database import check_names
from tdev_operators.core.database.performance.analysis import analyse
from tdev_operators.core.database.performance.looks import all_looks
from tdev_operators.core.items import ItemOutcome
from tdev_operators.core.looks import Look
from tdev_operators.core.settings import OutOfScopeSettings
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.ledger import PostgresLedger
from tdev_operators.hooks.ledger_schema import migrate
from tests.analysed import DAY
from tests.records import facts_of

PATH = Path(__file__).parent
STATEMENT_LOOKS = {"performance.top_statements", "performance.regressions", "performance.new_statements"}


def test_every_look_is_named_has_a_hint_and_a_test():
    names = {each.name for each in all_looks()}
    assert names | {"performance.samples"} == {n for n in check_names.ABOUT if n.startswith("performance.")}
    for each in all_looks():
        assert len(each.hint) > 20
        assert each.about.endswith(".")
        stem = each.name.partition(".")[2]
        assert (PATH / "looks" / f"test_{stem}.py").is_file(), stem


def test_a_first_day_compares_nothing_says_so_and_is_green(recorded):
    recorded.run("CREATE TABLE t AS SELECT generate_series(1, 1000) AS x")
    found = recorded.analyse()
    assert {name for name, result in found.items() if result.verdict is not Verdict.OK} == set()
    for name in ("regressions", "new_statements", "temp_files", "checkpoints", "growth"):
        assert "Nothing to compare with yet" in found[f"performance.{name}"].summary
    assert set(recorded.ledger.kept) == {"statements", "sizes", "activity", "buckets", "disks"}


def test_a_statement_that_becomes_slow_is_found(recorded):
    recorded.limits = {"regression_minimum_calls": 5, "new_statement_minimum_seconds": 0.0}
    for _ in range(5):
        recorded.run(*["SELECT pg_sleep(0.0001)"] * 6)
        recorded.analyse()
        recorded.now += DAY
    recorded.run(*["SELECT pg_sleep(0.03)"] * 6, *["SELECT pg_sleep(0.01), 'unheard of'"] * 6)
    found = recorded.analyse()
    slow = found["performance.regressions"]
    assert slow.verdict in (Verdict.WARNING, Verdict.CRITICAL)
    assert "SELECT pg_sleep($1)" in slow.summary
    assert "5 days before" in slow.summary or "4 days before" in slow.summary
    new = found["performance.new_statements"]
    assert new.verdict.is_red or new.verdict is Verdict.WARNING
    assert "SELECT pg_sleep($1), $2" in new.summary
    assert "SELECT pg_sleep($1)" in found["performance.top_statements"].summary


def test_a_reset_by_hand_is_noticed_and_nothing_is_called_new(recorded):
    recorded.analyse()
    recorded.now += DAY
    recorded.run('SELECT "odd schema".pg_stat_statements_reset()', "SELECT 1 AS unheard_of")
    found = recorded.analyse()
    assert "The counters were reset at" in found["performance.new_statements"].summary
    assert "when the counters were reset" in found["performance.top_statements"].summary


def test_a_table_that_grows_in_a_week_is_found(cluster, analysed_on):
    analysed = analysed_on(cluster)
    analysed.limits = {"growth_minimum_mb": 1}
    analysed.run("CREATE TABLE t AS SELECT generate_series(1, 50000) AS x")
    analysed.analyse()
    analysed.now += 7 * DAY
    analysed.run("INSERT INTO t SELECT generate_series(1, 90000)")
    found = analysed.analyse()["performance.growth"]
    assert found.verdict is Verdict.WARNING
    assert "table public.t grew by" in found.summary


def test_without_the_extension_one_look_is_the_cause_and_the_others_still_look(cluster, analysed_on):
    analysed = analysed_on(cluster)
    found = analysed.analyse()
    red = {name for name, result in found.items() if result.verdict.is_red}
    assert red == STATEMENT_LOOKS | {"performance.samples"}
    assert "CREATE EXTENSION" in found["performance.top_statements"].summary
    assert found["performance.regressions"].because_of == "performance.top_statements"
    assert found["performance.samples"].because_of == ""


def test_out_of_scope_it_is_not_asked_for(cluster, analysed_on):
    analysed = analysed_on(cluster)
    analysed.out_of_scope = tuple(
        OutOfScopeSettings(check=name, reason="no contrib", owner="Ada") for name in sorted(STATEMENT_LOOKS)
    )
    outcome = analyse(analysed.system, analysed.ledger, analysed.settings)
    assert {each.check for each in outcome.out_of_scope} == STATEMENT_LOOKS
    assert outcome.verdict is Verdict.OK, [result.summary for result in outcome.results if result.verdict.is_red]
    analysed.now += DAY
    area = (OutOfScopeSettings(check="performance.*", reason="r", owner="o"),)
    analysed.out_of_scope = area
    outcome = analyse(analysed.system, analysed.ledger, analysed.settings)
    assert outcome.results == ()
    assert len(analysed.ledger.kept["sizes"]) == 2, "capacity planning rests on them whatever is looked at here"


def test_with_the_ledger_down_comparisons_are_unknown_and_nothing_is_said_to_be_kept(recorded):
    recorded.ledger.down = True
    found = recorded.analyse()
    assert {result.verdict for result in found.values()} == {Verdict.OK, Verdict.UNKNOWN}
    assert found["performance.replication_lag"].verdict is Verdict.OK
    assert "ledger's database is down" in found["performance.growth"].summary
    assert found["performance.samples"].verdict is Verdict.UNKNOWN
    assert "was not kept" in found["performance.samples"].summary


def test_with_the_database_gone_nothing_is_green(cluster, analysed_on):
    analysed = analysed_on(cluster)
    with cluster.connect() as connection:
        connection.execute(f"REVOKE CONNECT ON DATABASE {analysed.dbname} FROM analysis_looker")
    found = analysed.analyse()
    assert {result.verdict for result in found.values()} == {Verdict.UNKNOWN}
    assert set(analysed.ledger.kept) == {"buckets", "disks"}


def test_a_defect_in_one_look_leaves_the_others(cluster, analysed_on):
    def broken(day):
        raise ZeroDivisionError("password=hunter2")

    analysed = analysed_on(cluster)
    looks = [Look("performance.growth", "x", "mend it", broken), all_looks()[0]]
    found = analyse(analysed.system, analysed.ledger, analysed.settings, looks=looks)
    assert isinstance(found, ItemOutcome)
    assert [result.verdict for result in found.results[:2]] == [Verdict.UNKNOWN, Verdict.OK]
    assert "hunter2" not in found.results[0].summary


def test_the_real_ledger_takes_and_returns_the_samples(database, cluster, analysed_on):
    facts = facts_of(database)
    migrate(facts)
    analysed = analysed_on(cluster)
    analysed.ledger = PostgresLedger(facts)
    analysed.run('CREATE TABLE "odd \u00e4 name" AS SELECT generate_series(1, 1000) AS x')
    analysed.analyse()
    analysed.now += DAY
    found = analysed.analyse()
    assert found["performance.growth"].verdict is Verdict.OK
    assert "grew by" in found["performance.growth"].summary
    (one, two) = analysed.ledger.samples("t-developer", "sizes", analysed.now - 3 * DAY)
    assert one.facts["tables"] == pytest.approx(two.facts["tables"])
