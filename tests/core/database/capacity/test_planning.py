"""The look ahead: from the ledger's samples to the day on which a limit is met."""

from datetime import timedelta
from random import Random

import pytest

from tdev_operators.core.database import check_names
from tdev_operators.core.database.capacity.outlook import Figure, daily, in_bytes, outlook, rates
from tdev_operators.core.database.capacity.planning import SUBJECTS, plan_capacity
from tdev_operators.core.ledger import Sample
from tdev_operators.core.series import Point
from tdev_operators.core.settings import OutOfScopeSettings
from tdev_operators.core.verdicts import Verdict
from tests.analysed import DAY, MemoryLedger, shipped
from tests.records import NOON

GB = 1e9


def sizes(gigabytes, **tables):
    tables = tables or {"metrics": gigabytes * 0.8}
    return {
        "database": "t_developer",
        "database_bytes": gigabytes * GB,
        "tables": {f"public.{name}": [size * GB, 0.0] for name, size in tables.items()},
    }


def activity(wal, used):
    return {"wal_bytes": wal, "connections": used, "connections_usable": 100}


def full(days=60, *, growth=0.5, start=40.0, until=NOON):
    """A ledger with samples of so many days, in which everything grows."""
    ledger, random = MemoryLedger(), Random(4)
    for number in range(days + 1):
        at = until - (days - number) * DAY
        size = start + growth * number + random.gauss(0, 0.05)
        ledger.keep_sample("", "sizes", Sample(at, sizes(size)))
        ledger.keep_sample("", "activity", Sample(at, activity(5 * GB * number, 20 + number % 3)))
        ledger.keep_sample("", "disks", Sample(at, {"db:/": 50 + 0.1 * number}))
        agents = {"bytes": 1e8 + 1e6 * number, "objects": 1000 + 10 * number}
        ledger.keep_sample("", "buckets", Sample(at, {"agents": agents}))
    return ledger


def planned(ledger, out_of_scope=(), **capacity):
    outcome = plan_capacity(ledger, shipped(out_of_scope, capacity=capacity), lambda: NOON)
    return {result.check: result for result in outcome.results}


def test_every_subject_is_named():
    assert [subject.name for subject in SUBJECTS] == [n for n in check_names.ABOUT if n.startswith("capacity.")]


def test_without_a_limit_growth_is_told_and_is_well():
    found = planned(full())
    assert {result.verdict for result in found.values()} == {Verdict.OK}
    assert found["capacity.database"].summary.startswith(
        "size of t_developer is at 69.9 GB and grows by 15 GB in 30 days: 160 GB ("
    )
    assert found["capacity.wal"].summary.startswith("WAL is at 5 GB a day and stays level")
    buckets = found["capacity.buckets"].summary
    assert "objects in agents is at 1,600 objects and grows by 300 objects in 30 days" in buckets
    for result in found.values():
        assert result.series
        assert result.series[0].forecast


@pytest.mark.parametrize(
    ("limit", "verdict", "days"),
    [
        (500.0, Verdict.OK, None),
        (110.0, Verdict.WARNING, 80),
        (80.0, Verdict.CRITICAL, 20),
        (69.0, Verdict.CRITICAL, 0),
    ],
)
def test_the_day_on_which_a_limit_is_met_decides(limit, verdict, days):
    found = planned(full(), database_gb=limit)["capacity.database"]
    assert found.verdict is verdict
    left = [m.value for m in found.measurements if "days to its limit" in m.name]
    if days is None:
        assert left == []
        assert "500 GB is not reached within 180 days" in found.summary
    else:
        assert left == [pytest.approx(days, abs=2)]
        when = NOON + timedelta(days=left[0])
        assert f"it reaches {limit:.0f} GB on {when:%Y-%m-%d}" in found.summary or "is reached" in found.summary
        assert found.hint.startswith("See which tables grow")
    assert found.series[0].limit == limit


def test_the_same_growth_that_then_happens_meets_the_limit_within_the_band():
    """Foretold on day 60; the later days show when the limit was really met."""
    random, hits, tries = Random(8), 0, 40
    for _ in range(tries):
        level, values = 40.0, []
        for _ in range(240):
            level += max(random.gauss(0.5, 0.4), 0)
            values.append(level)
        points = tuple(Point(NOON + n * DAY, value) for n, value in enumerate(values))
        found = outlook(Figure("x", "GB", points[:60], 100.0), shipped().capacity)
        really = next(point.when for point in points if point.value >= 100.0)
        hits += found.earliest is not None and found.earliest <= really
        assert abs((found.reached - really) / DAY) < 40
    assert hits / tries >= 0.85, "the limit is met before the earliest day in at most one of twenty"


@pytest.mark.parametrize(("days", "missing"), [(0, "14 days are"), (5, "9 days are"), (13, "1 day is")])
def test_not_enough_history_is_unknown_and_says_how_much_is_missing(days, missing):
    found = planned(full(days))
    assert {result.verdict for result in found.values()} == {Verdict.UNKNOWN}
    assert f"not enough history: {missing} missing of the 14" in found["capacity.database"].summary
    assert "performance_analysis" in found["capacity.database"].hint


def test_no_sample_at_all_is_unknown():
    found = planned(MemoryLedger())
    assert {result.verdict for result in found.values()} == {Verdict.UNKNOWN}
    assert "name the database's host in recovery.database_host" in found["capacity.disk"].summary


def test_old_samples_are_unknown():
    found = planned(full(until=NOON - 5 * DAY))
    assert {result.verdict for result in found.values()} == {Verdict.UNKNOWN}
    assert "the newest sample is 5 days old" in found["capacity.database"].summary


def test_with_the_ledger_down_nothing_is_foretold():
    ledger = full()
    ledger.down = True
    found = planned(ledger)
    assert {result.verdict for result in found.values()} == {Verdict.UNKNOWN}
    assert "ledger's database is down" in found["capacity.wal"].summary


def test_a_young_table_is_told_and_does_not_make_the_old_ones_unknown():
    ledger = MemoryLedger()
    for number in range(31):
        tables = {"metrics": 10 + number * 0.1, **({"orders": 2.0} if number > 25 else {})}
        ledger.keep_sample("", "sizes", Sample(NOON - (30 - number) * DAY, sizes(20.0, **tables)))
    found = planned(ledger)["capacity.tables"]
    assert found.verdict is Verdict.OK
    assert found.summary.startswith("table public.metrics is at 13 GB and grows by 3 GB in 30 days")
    assert found.details[-1] == ("table public.orders: not enough history: 10 days are missing of the 14 that it takes")


def test_a_step_is_told_beside_the_forecast():
    ledger = full(growth=0.5)
    for at, sample in list(ledger.kept["sizes"].items()):
        if at > NOON - 20 * DAY:
            ledger.kept["sizes"][at] = Sample(at, sizes(sample.facts["database_bytes"] / GB - 25))
    found = planned(ledger)["capacity.database"]
    assert any("a step of -25" in line and "is left out of the growth" in line for line in found.details)
    assert "grows by 1" in found.summary


def test_disk_and_connections_have_limits_of_their_own():
    ledger = full()
    for sample in list(ledger.kept["activity"].values()):
        number = 60 - (NOON - sample.taken_at) / DAY
        ledger.kept["activity"][sample.taken_at] = Sample(sample.taken_at, activity(number, 10 + number))
    found = planned(ledger)
    assert found["capacity.connections"].verdict is Verdict.CRITICAL
    assert "it reaches 80 % on " in found["capacity.connections"].summary
    assert max(each.high for each in found["capacity.connections"].series[0].forecast) <= 100
    assert found["capacity.disk"].verdict is Verdict.OK
    assert planned(ledger, disk_used_percent=60.0)["capacity.disk"].verdict is Verdict.WARNING


def test_what_wavers_is_not_on_its_way():
    ledger = MemoryLedger()
    for number in range(20):
        facts = activity(number, 68 + (0, 7, -5, 3, -8, 6, -3)[number * 3 % 7])
        ledger.keep_sample("", "activity", Sample(NOON - (19 - number) * DAY, facts))
    found = planned(ledger)["capacity.connections"]
    assert found.series[0].forecast[-1].high > 80
    assert found.verdict is Verdict.OK


def test_out_of_scope_it_is_not_foretold():
    off = (OutOfScopeSettings(check="capacity.disk", reason="managed", owner="Ada"),)
    outcome = plan_capacity(full(), shipped(off), lambda: NOON)
    assert "capacity.disk" not in {result.check for result in outcome.results}
    assert [each.check for each in outcome.out_of_scope] == ["capacity.disk"]


def test_the_rate_of_a_counter_that_began_anew_has_a_gap():
    points = [Point(NOON + n * DAY, value) for n, value in enumerate([0.0, 5.0, 9.0, 1.0, 4.0])]
    assert [point.value for point in rates(points)] == [5, 4, 3]


def test_a_day_counts_once_with_its_last_sample():
    points = [Point(NOON, 1.0), Point(NOON + DAY / 4, 2.0), Point(NOON + DAY, 3.0)]
    assert [point.value for point in daily(points)] == [2, 3]


def test_bytes_get_the_unit_that_their_size_asks_for():
    assert in_bytes("x", [Point(NOON, 5.2e6)], 1e9) == Figure("x", "MB", (Point(NOON, 5.2),), 1000.0)
    assert in_bytes("x", [Point(NOON, 5.2e12)], per=" a day").unit == "TB a day"
