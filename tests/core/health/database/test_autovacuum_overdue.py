"""database.autovacuum_overdue."""

import pytest

from tdev_operators.core.health.database import autovacuum_overdue
from tdev_operators.core.setting_types import Ceiling
from tdev_operators.core.verdicts import Verdict

AT_ONCE = {"health.database.autovacuum_overdue_hours": Ceiling(warning=0, critical=0)}


class OnlyOurs:
    """A database whose catalogs, which all tests of the cluster share, are in order."""

    name = "t_developer"

    def __init__(self, database):
        self.database = database

    def rows(self, statement, params=None):
        return [row for row in self.database.rows(statement, params) if row.get("table_name", "t") in ("t", "log")]


def make(arena, flush, options="autovacuum_enabled = false", *, first="VACUUM ANALYZE t"):
    with arena.connect() as connection:
        connection.execute(f"CREATE TABLE t (a int) WITH ({options})")
        connection.execute("INSERT INTO t SELECT generate_series(1, 1000)")
        connection.execute(flush)
        if first:
            connection.execute(first)
        connection.execute("UPDATE t SET a = a + 1 WHERE a <= 500")
        connection.execute(flush)


@pytest.mark.parametrize("version", ["arena", "arena_16"])
def test_past_the_threshold_for_too_long_is_critical(ports, change, request, version, flush):
    arena = request.getfixturevalue(version)
    make(arena, flush)
    result = autovacuum_overdue.check(ports(database=OnlyOurs(arena.look)), change(AT_ONCE))
    assert result.verdict is Verdict.CRITICAL
    assert "t needs vacuum (500 dead rows, threshold 250)" in result.summary
    assert "t needs analyze (500 changed rows, threshold 150)" in result.summary
    assert "autovacuum is switched off for it" in result.summary


def test_past_the_threshold_for_a_moment_is_ok(ports, shipped, arena, flush):
    make(arena, flush)
    assert autovacuum_overdue.check(ports(database=arena.look), shipped).verdict is Verdict.OK


def test_what_was_never_vacuumed_may_be_new(ports, change, arena, flush):
    make(arena, flush, first="")
    result = autovacuum_overdue.check(ports(database=OnlyOurs(arena.look)), change(AT_ONCE))
    assert result.verdict is Verdict.WARNING
    assert "had none" in result.summary


def heap(arena, flush, *changes):
    """Make a table of 1,000 rows, vacuumed and analyzed, that needs no analyze after the changes."""
    arena.run("CREATE TABLE t (a int) WITH (autovacuum_enabled = false, autovacuum_analyze_scale_factor = 9)")
    arena.run("INSERT INTO t SELECT generate_series(1, 1000)", "VACUUM ANALYZE t")
    for change in changes:
        arena.run(change, flush)


@pytest.mark.parametrize(
    "changes",
    [
        ("DELETE FROM t WHERE a <= 300",),  # 300 dead rows, threshold 250
        # 400 dead rows, threshold 230; only 100 of them were there at the last analyze.
        ("DELETE FROM t WHERE a <= 100", "ANALYZE t", "DELETE FROM t WHERE a <= 400"),
    ],
)
def test_a_little_past_the_threshold_may_be_so_for_a_moment(ports, change, arena, flush, changes):
    heap(arena, flush, *changes)
    result = autovacuum_overdue.check(ports(database=OnlyOurs(arena.look)), change(AT_ONCE))
    assert result.verdict is Verdict.WARNING
    assert "since when it needs it is not known" in result.summary


@pytest.mark.parametrize(
    "changes",
    [
        ("DELETE FROM t WHERE a <= 500",),  # twice the threshold
        ("DELETE FROM t WHERE a <= 300", "ANALYZE t"),  # past it for certain when it was analyzed
    ],
)
def test_neglect_is_critical(ports, change, arena, flush, changes):
    heap(arena, flush, *changes)
    result = autovacuum_overdue.check(ports(database=OnlyOurs(arena.look)), change(AT_ONCE))
    assert result.verdict is Verdict.CRITICAL


def test_what_is_being_vacuumed_is_left_out(ports, change, arena, flush, slow_vacuum):
    heap(arena, flush, "INSERT INTO t SELECT generate_series(1, 50000)", "ANALYZE t", "DELETE FROM t")
    system = ports(database=OnlyOurs(arena.look))
    assert autovacuum_overdue.check(system, change(AT_ONCE)).verdict is Verdict.CRITICAL
    slow_vacuum(arena, "t")
    assert autovacuum_overdue.check(system, change(AT_ONCE)).verdict is Verdict.OK


def test_of_many_tables_the_most_neglected_are_measured(ports, change, arena, flush):
    for number in range(25):
        arena.run(f"CREATE TABLE t{number} (a int) WITH (autovacuum_enabled = false)")
    arena.run("VACUUM t0", *(f"INSERT INTO t{number} SELECT generate_series(1, 3000)" for number in range(25)), flush)
    result = autovacuum_overdue.check(ports(database=arena.look), change(AT_ONCE))
    assert "t0 without vacuum" in {m.name for m in result.measurements}
    assert {m.name: m.value for m in result.measurements}["vacuums and analyzes due"] >= 50
    assert len(result.measurements) == 21


@pytest.mark.parametrize(
    ("options", "needs"),
    [
        ("autovacuum_vacuum_threshold = 600", {"analyze"}),
        ("autovacuum_vacuum_scale_factor = 0.9", {"analyze"}),
        ("autovacuum_analyze_scale_factor = 0.9", {"vacuum"}),
        ("autovacuum_vacuum_scale_factor = 9, autovacuum_vacuum_max_threshold = 10", {"vacuum", "analyze"}),
    ],
)
def test_storage_options_are_honoured(ports, change, arena, flush, options, needs):
    make(arena, flush, f"autovacuum_enabled = false, {options}")
    result = autovacuum_overdue.check(ports(database=OnlyOurs(arena.look)), change(AT_ONCE))
    assert {work for work in ("vacuum", "analyze") if f"t needs {work} " in result.summary} == needs


def test_inserts_alone_need_vacuum_too(ports, change, arena, flush):
    arena.run("CREATE TABLE log (a int) WITH (autovacuum_enabled = false)", "VACUUM ANALYZE log")
    arena.run("INSERT INTO log SELECT generate_series(1, 2000)", flush)
    result = autovacuum_overdue.check(ports(database=OnlyOurs(arena.look)), change(AT_ONCE))
    assert result.verdict is Verdict.CRITICAL
    assert "log needs vacuum (2000 inserted rows, threshold 1000)" in result.summary


@pytest.mark.parametrize("setting", ["autovacuum", "tracks_counts"])
def test_autovacuum_switched_off_is_critical(ports, shipped, arena, patched, setting):
    off = patched(arena.look, {"statistics_hours": {setting: False}})
    result = autovacuum_overdue.check(ports(database=off), shipped)
    assert result.verdict is Verdict.CRITICAL
    assert "is off on the whole server" in result.summary


def test_young_statistics_are_unknown(ports, change, arena):
    settings = change({"health.database.minimum_statistics_age_hours": 1.0})
    assert autovacuum_overdue.check(ports(database=arena.look), settings).verdict is Verdict.UNKNOWN
