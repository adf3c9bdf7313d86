"""database.wraparound."""

import pytest

from tdev_operators.core.health.database import wraparound
from tdev_operators.core.verdicts import Verdict


def test_a_young_cluster(ports, shipped, arena):
    arena.run("CREATE TABLE with_toast (a text)", "CREATE TEMPORARY TABLE passing (a int)")
    result = wraparound.check(ports(database=arena.look), shipped)
    assert result.verdict is Verdict.OK
    assert "WARNING is at 250,000,000 and 500,000,000" in result.summary


@pytest.mark.parametrize(
    ("xid", "multixact", "verdict"),
    [
        (249_000_000, 0, Verdict.OK),  # autovacuum is about to act, or at it
        (250_000_000, 0, Verdict.WARNING),
        (0, 500_000_000, Verdict.WARNING),
        (960_000_000, 0, Verdict.CRITICAL),
        (0, 960_000_000, Verdict.CRITICAL),
    ],
)
def test_ages_against_autovacuum_and_failsafe(ports, shipped, arena, patched, xid, multixact, verdict):
    old = patched(arena.look, {"mxid_age": {"xid_age": xid, "multixact_age": multixact}})
    result = wraparound.check(ports(database=old), shipped)
    assert result.verdict is verdict


def test_a_late_autovacuum_by_setting_is_not_critical(ports, shipped, arena, patched):
    values = {"xid_age": 1_100_000_000, "multixact_age": 0, "xid_freeze_max_age": 1_000_000_000}
    result = wraparound.check(ports(database=patched(arena.look, {"mxid_age": values})), shipped)
    assert result.verdict is Verdict.OK


def test_toast_tables_and_databases_are_looked_at(arena):
    from tdev_operators.core.sql import load_sql

    arena.run("CREATE TABLE with_toast (a text)")
    everything = load_sql("health/wraparound").replace("LIMIT 20", "LIMIT 10000")
    found = {(row["kind"], row["name"]) for row in arena.look.rows(everything)}
    assert {("table", "with_toast"), ("TOAST of table", "with_toast"), ("database", "template0")} <= found
