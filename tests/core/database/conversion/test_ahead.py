"""Partitions ahead of time: made before they are needed, whatever else is in the way; what fits nowhere is told."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from tdev_operators.core.database.retention.ahead import missing_of
from tdev_operators.core.database.retention.rules import RowClass, classes_of
from tdev_operators.core.database.retention.spans import Group, floor_of, groups_of, next_after, part_name, spans_of
from tdev_operators.core.verdicts import Verdict
from tests.core.database.conversion.conftest import WEEKS, drop_newest, newest_of
from tests.core.database.retention.conftest import RULE

WEDNESDAY = datetime(2026, 12, 30, 13, 5, tzinfo=UTC)
CHECK = "retention.partitions_ahead"


@pytest.mark.parametrize(
    ("step", "start", "end"),
    [
        ("day", (2026, 12, 30), (2026, 12, 31)),
        ("week", (2026, 12, 28), (2027, 1, 4)),
        ("month", (2026, 12, 1), (2027, 1, 1)),
    ],
)
def test_days_weeks_and_months(step, start, end):
    assert floor_of(step, WEDNESDAY) == datetime(*start, tzinfo=UTC)
    assert next_after(step, WEDNESDAY) == datetime(*end, tzinfo=UTC)
    assert next_after(step, floor_of(step, WEDNESDAY)) == datetime(*end, tzinfo=UTC)


def test_values_of_one_fate_share_a_partition():
    groups = groups_of(WEEKS, classes_of(RULE, WEDNESDAY))
    assert [group.values for group in groups] == [("high",), ("low", "normal")]
    assert [group.row_class.archive for group in groups] == [True, False]


@pytest.mark.parametrize("step", ["day", "week", "month"])
@pytest.mark.parametrize(
    "oldest",
    [None, datetime(2001, 2, 3, tzinfo=UTC), datetime(2026, 12, 29, tzinfo=UTC), datetime(2027, 5, 1, tzinfo=UTC)],
)
def test_spans_join_and_hold_now_and_what_is_to_come(step, oldest):
    rule = WEEKS.model_copy(update={"step": step})
    spans = spans_of(
        rule, Group(("x",), RowClass(datetime(2026, 11, 30, tzinfo=UTC), archive=False)), WEDNESDAY, oldest
    )
    assert all(one.end == other.start for one, other in pairwise(spans))
    assert spans[0].start <= min(WEDNESDAY, oldest or WEDNESDAY)
    assert spans[-1].end > WEDNESDAY.replace(year=2027, month=1, day=20)
    assert len({part_name("p", one) for one in spans}) == len(spans)


def row(bound, parent=1, **more):
    facts = {"oid": 7, "parent_oid": parent, "parent_schema": "s", "parent_name": f"p{parent}", "bound": bound}
    return {**facts, "strategy": "r", "by_column": "t", **more}


def test_what_is_missing_begins_where_the_last_one_ends():
    first, *rest = missing_of(
        [
            row("FOR VALUES FROM ('2026-12-01 00:00:00+00') TO ('2026-12-31 00:00:00+00')"),
            row("FOR VALUES FROM ('2026-11-01 00:00:00+00') TO ('2026-12-01 00:00:00+00')"),
            row("DEFAULT"),
            row("FOR VALUES FROM ('2020-01-01') TO ('2020-02-01')", parent=2),
            row("DEFAULT", parent=3),
            row("FOR VALUES FROM ('2020-01-01') TO (MAXVALUE)", parent=4),
            row("FOR VALUES FROM ('2020-01-01') TO ('2030-01-01')", parent=5),
            row("FOR VALUES IN ('x')", parent=6, strategy="l", by_column="i"),
        ],
        "t",
        WEEKS,
        WEDNESDAY,
    )
    assert (first.reach, first.missing[0].start) == (datetime(2026, 12, 31, tzinfo=UTC),) * 2
    assert first.missing[0].end == datetime(2027, 1, 4, tzinfo=UTC), "from then on by whole weeks"
    assert [(one.name, len(one.missing)) for one in rest] == [("p2", 4), ("p3", 4), ("p5", 0)]
    assert rest[0].missing[0].start == datetime(2026, 12, 28, tzinfo=UTC)


@pytest.fixture
def converted(metrics):
    weekly = metrics.weekly
    weekly.carry_out()
    return weekly


def add_rows_of_the_week(world, partition, rows):
    """Insert rows of high importance that belong into a partition by week."""
    world.sql.execute(
        "INSERT INTO metrics (name, value, importance, timestamp)"
        " SELECT 'early', n, 'high', to_date(%s, 'YYYYMMDD') + interval '3 days' FROM generate_series(1, %s) AS n",
        (partition[-8:], rows),
    )


def test_nothing_to_do_says_until_when_there_are_some(converted):
    result = converted.clean()[CHECK]
    assert result.verdict is Verdict.OK
    assert result.summary == "0 partitions made ahead of time; 0 rows fit into no partition of their own."
    assert any(line.startswith("public.metrics_high: until 2026-12-") for line in result.details)


def test_made_with_what_the_others_have_and_rows_move_out_of_the_net(converted):
    newest = [drop_newest(converted, parent) for parent in ("metrics_high", "metrics_high", "metrics_low_normal")]
    converted.sql.execute(f"ALTER TABLE {newest_of(converted, 'metrics_high')} SET (fillfactor = 70)")
    add_rows_of_the_week(converted, newest[0], 30)
    rows = converted.rows()
    assert converted.count(table="metrics_high_rest") == 30
    dry = converted.clean(dry_run=True)[CHECK]
    assert dry.verdict is Verdict.OK or dry.verdict is Verdict.WARNING
    assert any("ATTACH PARTITION" in line for line in dry.details)
    assert converted.count(table="metrics_high_rest") == 30
    converted.sql.execute("UPDATE metrics SET value = 0 WHERE name = 'early' AND value = 1")
    rows = converted.rows()
    result = converted.clean()[CHECK]
    assert result.verdict is Verdict.OK, result
    assert result.summary.startswith("3 partitions made ahead of time")
    assert {one.name: one.value for one in result.measurements}["moved out of the net"] == 30
    assert converted.count(table="metrics_high_rest") == 0
    there = {one[0] for one in converted.sql.execute("SELECT relid::text FROM pg_partition_tree('metrics')")}
    assert set(newest) <= there
    assert {key: text for key, text in rows.items() if "early" in text} == {
        key: text for key, text in converted.rows().items() if "early" in text
    }
    options = "SELECT reloptions::text FROM pg_class WHERE relname = %s"
    assert converted.one(options, min(newest)) == "{fillfactor=70}"
    assert converted.one("SELECT count(*) FROM pg_index WHERE indrelid = %s::regclass", newest[0]) == 2
    assert converted.carry_out("undo").verdict is Verdict.OK, "what was moved is followed, too"


def test_rows_that_fit_nowhere_are_told_with_what_to_do(converted):
    converted.sql.execute("ALTER TABLE metrics DROP CONSTRAINT metrics_importance_check")
    converted.sql.execute(
        "INSERT INTO metrics (name, value, importance) VALUES ('odd', 1, 'urgent'), ('odd', 2, 'urgent')"
    )
    converted.sql.execute("INSERT INTO metrics (name, value, timestamp) VALUES ('far', 1, now() + interval '9 years')")
    result = converted.clean()[CHECK]
    assert result.verdict is Verdict.WARNING
    assert "3 rows fit into no partition of their own" in result.summary
    assert "public.metrics_rest: 2 rows that fit nowhere else" in result.details
    assert "needs a partition of its own" in result.hint


def test_too_many_rows_to_move_stay_and_are_told(converted):
    add_rows_of_the_week(converted, drop_newest(converted, "metrics_high"), 101)
    result = converted.with_(pace={"batch_rows": 100}).clean()[CHECK]
    assert result.verdict is Verdict.WARNING
    assert any("more than 100 rows" in line for line in result.details)
    assert converted.count("name = 'early'") == 101


def test_who_holds_the_net_keeps_no_one_waiting_and_the_cleanup_goes_on(converted, elsewhere):
    drop_newest(converted, "metrics_high")
    reader = elsewhere()
    reader.execute("BEGIN; SELECT count(*) FROM metrics_high_rest")
    found = converted.clean()
    assert found[CHECK].verdict is Verdict.WARNING
    assert "lock" in "\n".join(found[CHECK].details)
    assert found["retention.metrics"].verdict is Verdict.OK
    reader.execute("ROLLBACK")
    assert converted.with_(run_id="").clean()[CHECK].verdict is Verdict.OK


def test_none_left_for_today_is_critical(converted):
    this_week = f"metrics_high_{floor_of('week', datetime.now(UTC)):%Y%m%d}"
    while newest_of(converted, "metrics_high") >= this_week:
        drop_newest(converted, "metrics_high")
    converted.sql.execute(f"CREATE TABLE {this_week} ()")
    result = converted.clean()[CHECK]
    assert result.verdict is Verdict.CRITICAL
    assert "already exists" in "\n".join(result.details)


def test_a_table_that_is_not_partitioned_has_no_such_result(metrics):
    assert CHECK not in metrics.clean()
