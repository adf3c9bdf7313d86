"""A table becomes one of partitions, and back, and keeps what it had; retention then drops whole partitions."""

import re
from datetime import timedelta

import pytest

from tdev_operators.core.database.conversion.left_over import left_over
from tdev_operators.core.database.conversion.steps import RECEIPT, Steps
from tdev_operators.core.database.retention.settings import RetentionException
from tdev_operators.core.errors import BusyError, InputError
from tdev_operators.core.verdicts import Verdict
from tests.core.database.conversion.conftest import PARTITIONS, SUNDAY

SHAPE = """
    SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity::text,
        a.attgenerated::text, pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum), a.attacl::text
    FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = 'metrics'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""


def indexes(world):
    return dict(
        world.sql.execute(
            "SELECT indexname::text, regexp_replace(indexdef, ' ON (ONLY )?', ' ON ') FROM pg_indexes"
            " WHERE tablename = 'metrics'"
        ).fetchall()
    )


def partitions(world):
    return world.one("SELECT count(*) FROM pg_partition_tree('metrics') WHERE isleaf")


def test_converted_with_everything_that_it_had_and_back_again(metrics):
    metrics.sql.execute("""
        DO $$ BEGIN CREATE ROLE reader_of_metrics; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
        GRANT SELECT, INSERT ON metrics TO reader_of_metrics WITH GRANT OPTION;
        GRANT UPDATE (value) ON metrics TO reader_of_metrics; GRANT SELECT ON metrics TO PUBLIC;
        GRANT USAGE ON SEQUENCE metrics_id_seq TO reader_of_metrics;
        ALTER DEFAULT PRIVILEGES GRANT DELETE ON TABLES TO reader_of_metrics;
        COMMENT ON TABLE metrics IS 'what 100 % of us ''measure''';
        COMMENT ON COLUMN metrics.value IS 'in its own unit';
        ALTER TABLE metrics SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
        ALTER TABLE metrics ADD COLUMN doubled double precision GENERATED ALWAYS AS (value * 2) STORED;
        ALTER TABLE metrics DROP COLUMN labels;
        ALTER TABLE metrics ADD CONSTRAINT few CHECK (value < 1e9);
        CREATE INDEX "odd % ""index"" x" ON metrics (lower(name)) WHERE value > 1;
        ALTER TABLE metrics ADD CONSTRAINT thrice UNIQUE (timestamp, importance, id)
    """)
    rows, shape, former = metrics.rows(), metrics.sql.execute(SHAPE).fetchall(), indexes(metrics)
    before = metrics.catalogue()
    rights = (
        "SELECT array_agg(acl::text ORDER BY acl::text) FROM pg_class, unnest(relacl) AS acl WHERE oid = %s::regclass"
    )
    had = [metrics.one(rights, name) for name in ("metrics", "metrics_id_seq")]
    result = metrics.carry_out()
    assert result.verdict is Verdict.OK, result.summary
    figures = {one.name: one.value for one in result.measurements}
    assert figures["proven the same"] == figures["copied"] == 1200
    assert figures["partitions"] == partitions(metrics)
    assert metrics.rows() == rows
    assert metrics.sql.execute(SHAPE).fetchall() == shape
    assert [metrics.one(rights, name) for name in ("metrics", "metrics_id_seq")] == had
    assert metrics.one("SELECT obj_description('metrics'::regclass)") == "what 100 % of us 'measure'"
    now = indexes(metrics)
    assert now.pop("metrics_pkey").endswith('(id, importance, "timestamp")')
    assert now == {name: text for name, text in former.items() if name != "metrics_pkey"}
    options = "SELECT reloptions::text FROM pg_class WHERE relname = 'metrics_high_rest'"
    assert metrics.one(options) == "{autovacuum_vacuum_scale_factor=0.05,fillfactor=80}"
    assert metrics.one("SELECT count(*) FROM metrics_rest") == 0
    events = [line[0] for line in metrics.journal]
    assert events == ["partition_conversion_intended", "partition_switch_intended", "partition_switched"]
    new = metrics.one("INSERT INTO metrics (name, value) VALUES ('new', 1) RETURNING id")
    assert new == 1301, "numbers go on, behind those that somebody may just be taking"
    assert metrics.carry_out().summary.startswith("public.metrics was converted at")

    metrics.sql.execute("UPDATE metrics SET value = 7 WHERE id = 5; DELETE FROM metrics WHERE id = 6")
    metrics.sql.execute("UPDATE metrics SET importance = 'low', timestamp = now() WHERE id = 11")
    after = metrics.rows()
    back = metrics.carry_out("undo")
    assert back.verdict is Verdict.OK, back.summary
    assert metrics.rows() == after
    assert metrics.catalogue() == before, "nothing of ours is left, and everything has its name again"
    assert indexes(metrics) == former
    assert metrics.one("INSERT INTO metrics (name, value) VALUES ('newer', 1) RETURNING id") == 1402
    metrics.sql.execute("ALTER DEFAULT PRIVILEGES REVOKE DELETE ON TABLES FROM reader_of_metrics")


def test_a_serial_goes_on_too_and_survives_the_drop_of_the_former_table(metrics):
    metrics.sql.execute(
        "DROP TABLE metrics; CREATE TABLE metrics (id serial PRIMARY KEY, name text, value float8,"
        " importance text NOT NULL DEFAULT 'low', timestamp timestamptz NOT NULL DEFAULT now())"
    )
    metrics.sql.execute("INSERT INTO metrics (name, value) SELECT 'a', n FROM generate_series(1, 50) AS n")
    assert metrics.carry_out().verdict is Verdict.OK
    assert metrics.one("INSERT INTO metrics (name) VALUES ('b') RETURNING id") == 51
    later = metrics.with_(clock=lambda: SUNDAY + timedelta(days=14))
    assert later.carry_out("drop").verdict is Verdict.OK
    assert metrics.one("INSERT INTO metrics (name) VALUES ('c') RETURNING id") == 52
    assert metrics.one("SELECT pg_get_serial_sequence('metrics', 'id')") == "public.metrics_id_seq"


def test_the_former_table_is_dropped_late_and_only_when_nothing_uses_it(metrics):
    metrics.carry_out()
    with pytest.raises(InputError, match=r"public\.metrics_before_partitions stays until 2026-12-13"):
        metrics.carry_out("drop")
    later = metrics.with_(clock=lambda: SUNDAY + timedelta(days=14))
    metrics.sql.execute("CREATE VIEW still AS SELECT * FROM metrics_before_partitions")
    with pytest.raises(InputError, match=r"the view public\.still refers to it by its number"):
        later.carry_out("drop")
    metrics.sql.execute("DROP VIEW still")
    metrics.sql.execute("UPDATE metrics_before_partitions SET value = 1 WHERE id = 1")
    with pytest.raises(InputError, match=r"1 rows of public\.metrics_before_partitions were written since"):
        later.carry_out("drop")
    metrics.sql.execute("DELETE FROM metrics_before_partitions WHERE id = 1")
    assert later.carry_out("drop").verdict is Verdict.OK
    assert metrics.one("SELECT count(*) FROM pg_class WHERE relname ~ '(before_partitions|tdev)'") == 0
    assert metrics.one("SELECT count(*) FROM pg_trigger WHERE tgname ~ '^tdev'") == 0
    assert metrics.count() == 1200
    for action in ("undo", "drop"):
        with pytest.raises(InputError, match=r"way back has ended|nothing to drop"):
            later.carry_out(action)
    with pytest.raises(InputError, match="is partitioned already"):
        later.carry_out()


def test_what_stands_beside_a_table_is_told_every_week_until_somebody_ends_it(metrics):
    def left(now=SUNDAY):
        return left_over(metrics.with_(clock=lambda: now).ports, metrics.settings)

    assert left() is None
    closed = metrics.with_(clock=iter([SUNDAY] * 2 + [SUNDAY + timedelta(hours=5)] * 9).__next__)
    assert closed.carry_out().verdict is Verdict.WARNING
    begun = left()
    assert begun.verdict is Verdict.WARNING
    assert "is not ended (copying)" in begun.summary
    metrics.carry_out()
    metrics.sql.execute("UPDATE metrics SET value = 1")
    beside = left(SUNDAY + timedelta(days=13))
    assert beside.verdict is Verdict.OK
    assert "stays until 2026-12-13" in beside.summary
    late = left(SUNDAY + timedelta(days=15))
    assert late.verdict is Verdict.WARNING
    assert "for a way back that nobody took" in late.summary
    assert "*Drop the former table*, or *Undo*" in late.hint
    [figure] = late.measurements
    former, notes = (
        metrics.one("SELECT pg_total_relation_size(%s)", f"metrics_{kind}")
        for kind in ("before_partitions", "tdev_changes")
    )
    assert (figure.value, notes > 100_000) == (former + notes, True)
    metrics.sql.execute("COMMENT ON TABLE metrics_tdev_changes IS 'mine'")
    assert left().verdict is Verdict.UNKNOWN


def test_once_taken_back_it_is_looked_at_like_any_other(metrics, monkeypatch):
    metrics.carry_out()
    with monkeypatch.context() as patch:
        patch.setattr(Steps, "_clear", lambda *_: pytest.fail("cut off"))
        with pytest.raises(pytest.fail.Exception):
            metrics.carry_out("undo")
    assert metrics.phase == "undone"
    metrics.sql.execute("ALTER TABLE metrics REPLICA IDENTITY FULL")
    with pytest.raises(InputError, match="the replica identity would be lost"):
        metrics.carry_out()
    assert metrics.phase == "undone"
    metrics.sql.execute("ALTER TABLE metrics REPLICA IDENTITY DEFAULT")
    assert " partitions since " in metrics.carry_out().summary


def test_the_way_back_knows_the_table_under_other_rules(metrics):
    metrics.carry_out()
    longer = metrics.rule.model_copy(
        update={"days": 400, "partitions": PARTITIONS.model_copy(update={"values": ("low", "normal", "high", "odd")})}
    )
    metrics.sql.execute("UPDATE metrics SET value = 3 WHERE id = 9")
    rows = metrics.rows()
    back = metrics.with_(rule=longer).carry_out("undo")
    assert back.verdict is Verdict.OK, back
    assert metrics.rows() == rows


def test_a_dry_run_prints_everything_and_touches_nothing(metrics):
    before = metrics.catalogue()
    result = metrics.carry_out(dry_run=True)
    assert result.verdict is Verdict.OK
    text = "\n".join(result.details)
    assert "that (id) alone is unique is no longer enforced by the server" in text
    for part in ("PARTITION BY LIST", "FOR VALUES IN ('high')", "CREATE TRIGGER", "CREATE INDEX", "1200 rows"):
        assert part in text or part == "1200 rows"
    assert metrics.catalogue() == before
    assert metrics.journal == []
    metrics.carry_out()
    for action in ("undo", "drop"):
        assert metrics.carry_out(action, dry_run=True).details
    assert metrics.phase == "switched"


def test_the_printed_statements_make_what_a_run_makes(metrics):
    printed = metrics.look().lines
    lines = [line for line in printed if not line.startswith("--")]
    metrics.sql.execute("BEGIN")
    for line in lines:
        metrics.sql.execute(line)
    metrics.sql.execute("COMMIT")
    assert metrics.one("SELECT count(*) FROM pg_class WHERE relname ~ '^metrics.*_partitioned$'") == 0
    assert metrics.one("SELECT count(*) FROM pg_partition_tree('metrics') WHERE isleaf") == len(
        [line for line in lines if re.search(r" (DEFAULT|TO \('[^']*'\))$", line)]
    )


def test_begun_and_cleared_away_nothing_of_the_table_was_touched(metrics):
    before, rows = metrics.catalogue(), metrics.rows()
    closed = metrics.with_(clock=iter([SUNDAY] * 2 + [SUNDAY + timedelta(hours=5)] * 9).__next__)
    result = closed.carry_out()
    assert result.verdict is Verdict.WARNING
    assert "The maintenance window has closed" in result.summary
    assert metrics.phase == "copying"
    assert metrics.carry_out("undo").summary.startswith("What the conversion of public.metrics had made is gone")
    assert metrics.catalogue() == before
    assert metrics.rows() == rows
    with pytest.raises(InputError, match=r"No conversion of public\.metrics was begun"):
        metrics.carry_out("undo")


def test_outside_the_window_only_when_it_is_asked_for_now(metrics):
    monday = metrics.with_(clock=lambda: SUNDAY + timedelta(days=1))
    with pytest.raises(InputError, match="the maintenance window opens at 2026-12-06 02:00 UTC"):
        monday.carry_out()
    assert monday.carry_out(now=True).verdict is Verdict.OK


def test_retention_then_drops_whole_partitions_at_both_ages(metrics):
    metrics = metrics.weekly
    metrics.carry_out()
    result = metrics.clean()
    assert result["retention.metrics"].verdict is Verdict.OK, result["retention.metrics"].summary
    assert metrics.receipt["way"].startswith("whole partitions and ranges of time (metrics_timestamp_idx)")
    assert metrics.counts["partitions"] >= 2, "what was due when it was converted has a partition of each age"
    assert (metrics.counts["archived"], metrics.counts["discarded"]) == (30, 810)
    assert metrics.count() == 360
    assert metrics.count("timestamp < now() - interval '30 days' AND importance <> 'high'") == 0
    assert metrics.give_back().verdict is Verdict.OK

    # Half a year on, all of its rows are old, and all of them go with their partitions: by importance, at its age.
    left = partitions(metrics)
    aged = metrics.with_(
        run_id="",
        rule=metrics.rule.model_copy(
            update={
                "days": 1,
                "exceptions": (RetentionException(column="importance", value="high", days=8, archive=True),),
            }
        ),
    )
    aged.clean()
    assert aged.counts["partitions"] >= 10
    assert partitions(metrics) < left
    assert metrics.count("timestamp < now() - interval '1 day' AND importance <> 'high'") == 0
    assert metrics.count("timestamp < now() - interval '8 days'") == 0
    assert aged.carry_out("undo").verdict is Verdict.OK, "what retention removed is due in the former table too"


def test_a_receipt_and_sizes_are_left(metrics):
    metrics.carry_out()
    receipt = metrics.with_(run_id="partitions").folder.read(RECEIPT)
    assert receipt["event"] == "partition_switched"
    assert {one["name"] for one in receipt["measurements"]} >= {"before", "after", "locked", "proven the same"}


def test_who_holds_the_table_is_named_and_nobody_waits_behind_us(metrics, elsewhere):
    sleeper = elsewhere()
    sleeper.execute("SET application_name = 'sleeper'")
    sleeper.execute("BEGIN")
    sleeper.execute("SELECT count(*) FROM metrics")
    sleeper.execute("SELECT pg_sleep(0.1)")
    with pytest.raises(BusyError, match=r"held by pid \d+ \(sleeper, idle in transaction"):
        metrics.carry_out()
    sleeper.execute("ROLLBACK")
    assert metrics.carry_out().verdict is Verdict.OK, "the next try goes on"
