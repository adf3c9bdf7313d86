"""database.cache_hit_ratio."""

import pytest

from tdev_operators.core.health.database import cache_hit_ratio
from tdev_operators.core.verdicts import Verdict


@pytest.mark.parametrize(
    ("hits", "reads", "verdict"),
    [
        (99_000, 1_000, Verdict.OK),
        (97_000, 3_000, Verdict.WARNING),
        (80_000, 20_000, Verdict.CRITICAL),
        (9_000, 0, Verdict.UNKNOWN),
    ],
)
def test_ratio_against_its_limits(ports, shipped, arena, patched, hits, reads, verdict):
    database = patched(arena.look, {"blks_hit": {"hits": hits, "reads": reads}})
    result = cache_hit_ratio.check(ports(database=database), shipped)
    assert result.verdict is verdict


def test_real_counters(ports, change, arena, flush):
    arena.run("CREATE TABLE t AS SELECT generate_series(1, 10000) AS a", "SELECT count(*) FROM t", flush)
    result = cache_hit_ratio.check(ports(database=arena.look), change({"health.database.cache_minimum_blocks": 10}))
    assert result.verdict in (Verdict.OK, Verdict.WARNING, Verdict.CRITICAL)
    assert 0 < result.measurements[1].value <= 100


def test_young_statistics_are_unknown(ports, change, arena, patched):
    database = patched(arena.look, {"blks_hit": {"hits": 99_000, "reads": 0}})
    settings = change({"health.database.minimum_statistics_age_hours": 1.0})
    assert cache_hit_ratio.check(ports(database=database), settings).verdict is Verdict.UNKNOWN
