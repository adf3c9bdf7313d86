"""database.dead_tuples."""

import pytest

from tdev_operators.core.health.database import dead_tuples
from tdev_operators.core.verdicts import Verdict


def fill(arena, flush, rows, dead):
    with arena.connect() as connection:
        connection.execute("CREATE TABLE heap (a int) WITH (autovacuum_enabled = false)")
        connection.execute(f"INSERT INTO heap SELECT generate_series(1, {rows})")
        connection.execute(f"DELETE FROM heap WHERE a <= {dead}")
        connection.execute(flush)


@pytest.mark.parametrize(
    ("rows", "dead", "verdict"),
    [
        (12_000, 1_000, Verdict.OK),
        (200_000, 12_000, Verdict.OK),
        (40_000, 12_000, Verdict.WARNING),
        (12_000, 11_000, Verdict.CRITICAL),
    ],
)
def test_number_and_share(ports, shipped, arena, flush, rows, dead, verdict):
    fill(arena, flush, rows, dead)
    result = dead_tuples.check(ports(database=arena.look), shipped)
    assert result.verdict is verdict
    if verdict is not Verdict.OK:
        assert f"heap holds {dead:,} dead rows" in result.summary


def test_young_statistics_are_unknown(ports, change, arena):
    settings = change({"health.database.minimum_statistics_age_hours": 1.0})
    arena.run("SELECT pg_stat_reset()")
    result = dead_tuples.check(ports(database=arena.look), settings)
    assert result.verdict is Verdict.UNKNOWN
    assert "were reset 0.0 h ago" in result.summary


def test_young_statistics_do_not_hide_a_critical(ports, change, arena, flush):
    fill(arena, flush, 12_000, 11_000)
    result = dead_tuples.check(
        ports(database=arena.look), change({"health.database.minimum_statistics_age_hours": 1.0})
    )
    assert result.verdict is Verdict.CRITICAL


def test_of_many_tables_the_worst_are_measured(ports, change, arena, flush):
    with arena.connect() as connection:
        for number in range(25):
            connection.execute(f"CREATE TABLE t{number} (a int) WITH (autovacuum_enabled = false)")
            connection.execute(f"INSERT INTO t{number} SELECT generate_series(1, 100)")
            connection.execute(f"DELETE FROM t{number} WHERE a <= {75 + number}")
        connection.execute(flush)
    result = dead_tuples.check(ports(database=arena.look), change({"health.database.dead_tuples_minimum": 70}))
    assert result.summary.startswith("t24 holds 99 dead rows")
    assert {m.name: m.value for m in result.measurements}["tables with many dead rows"] >= 25
    assert len(result.measurements) == 21
