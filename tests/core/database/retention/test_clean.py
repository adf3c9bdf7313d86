"""What goes, what stays, and what the receipt says."""

from dataclasses import replace

import pytest

from tdev_operators.core.database.retention.settings import RetentionException, RetentionRule
from tdev_operators.core.errors import TargetUnreachableError
from tdev_operators.core.verdicts import Verdict
from tests.core.database.retention.conftest import INDEX, METRICS, ROWS, RULE


def test_old_rows_go_important_ones_are_archived_first_and_all_are_accounted_for(metrics):
    before = metrics.rows()
    results = metrics.clean()
    assert results["retention.metrics"].verdict is Verdict.OK, results["retention.metrics"]
    assert results["retention.conservation"].verdict is Verdict.OK
    counts = metrics.counts
    # Rows are walked by time up to 30 days: 870 were looked at when the 30 important ones had gone.
    assert (counts["archived"], counts["discarded"], counts["kept"]) == (30, 810, 60)
    assert counts["rows"] == 900
    left = metrics.rows()
    assert len(left) == 360
    assert left.items() <= before.items()
    assert metrics.count("timestamp < now() - interval '90 days'") == 0
    assert metrics.count("timestamp < now() - interval '30 days' AND importance <> 'high'") == 0


def test_the_same_run_again_does_nothing_twice(metrics):
    metrics.clean()
    first, rows = metrics.receipt, metrics.rows()
    metrics.sql.execute(ROWS.format("metrics"))  # due as well, but of the next run
    again = metrics.clean()["retention.metrics"]
    assert "had done it before" in again.summary
    assert metrics.receipt == first
    assert metrics.count() == len(rows) + 1200
    metrics.with_(run_id="").clean()
    assert metrics.count() == len(rows) + 360


@pytest.mark.parametrize("index", ["", INDEX])
def test_ties_nulls_infinities_and_small_transactions(world, index):
    world.sql.execute(METRICS + "ALTER TABLE metrics ALTER timestamp DROP NOT NULL;" + index)
    world.sql.execute(
        "INSERT INTO metrics (name, value, importance, timestamp)"
        " SELECT 'tie', n, CASE WHEN n % 10 = 0 THEN 'high' ELSE 'low' END, t::timestamptz"
        " FROM generate_series(1, 300) AS n,"
        " unnest(ARRAY['2020-01-01', '2020-01-02', '-infinity', 'infinity', NULL]) AS t"
    )
    small = world.with_(pace={"batch_rows": 100})
    result = small.clean()["retention.metrics"]
    assert result.verdict is Verdict.OK
    assert (small.counts["archived"], small.counts["discarded"]) == (60, 540)
    assert small.receipt["without_time"] == 600, "NULL, and before all times"
    assert world.count() == 900
    assert world.count("timestamp IS NULL") == 300


def test_a_key_of_several_columns_an_odd_name_and_another_schema(world):
    world.sql.execute(
        'CREATE SCHEMA "odd % schema"; CREATE TABLE "odd % schema"."Me""tr%s/ics é" ("wh%en" timestamp NOT NULL,'
        ' "a b" text NOT NULL, "i;d" uuid NOT NULL DEFAULT gen_random_uuid(),'
        ' "importance%" text, PRIMARY KEY ("a b", "i;d"));'
        'INSERT INTO "odd % schema"."Me""tr%s/ics é" ("wh%en", "a b", "importance%")'
        " SELECT now() - make_interval(days => n), 'k' || n % 7, CASE WHEN n % 2 = 0 THEN 'hi%gh' END"
        " FROM generate_series(1, 400) n"
    )
    rule = RetentionRule(
        table='Me"tr%s/ics é',
        in_schema="odd % schema",
        time_column="wh%en",
        days=100,
        archive=True,
        exceptions=(RetentionException(column="importance%", value="hi%gh", days=200, archive=False),),
    )
    odd = world.with_(rule=rule, run_id="", pace={"batch_rows": 100})
    result = odd.clean()['retention.odd % schema.Me"tr%s/ics é']
    assert result.verdict is Verdict.OK, result
    assert (odd.counts["archived"], odd.counts["discarded"]) == (150, 101)
    assert odd.give_back(into_table=True).verdict is Verdict.OK
    assert world.count(table='"odd % schema"."Me""tr%s/ics é"') == 299


def test_a_dry_run_prints_the_statements_and_touches_nothing(metrics):
    before = metrics.rows()
    result = metrics.clean(dry_run=True)["retention.metrics"]
    assert "of 1,200 rows, 30 would be archived and removed, 810 removed" in result.summary
    text = "\n".join(result.details)
    assert 'DELETE FROM "public"."metrics" AS t WHERE' in text
    assert "importance = 'high' before" in text
    assert metrics.rows() == before
    assert list(metrics.store.list(metrics.bucket)) == []
    assert metrics.journal == []


def test_when_the_time_is_over_it_stops_and_the_same_run_goes_on(metrics):
    late = metrics.with_(changes={"max_minutes": 1e-9})
    result = late.clean()["retention.metrics"]
    assert result.verdict is Verdict.WARNING
    assert "Its time was over" in result.summary
    assert metrics.count() == 1200
    assert metrics.with_(run_id=late.run_id).clean()["retention.metrics"].verdict is Verdict.OK
    assert metrics.count() == 360


def test_rows_written_late_stay_and_are_counted_apart(metrics):
    class Late:
        """Somebody inserts old rows when the archive stands."""

        def __getattr__(self, name):
            return getattr(metrics.store, name)

        def put(self, bucket, key, body, **options):
            if key.endswith("/archive.json"):
                metrics.sql.execute(ROWS.format("metrics"))
            return metrics.store.put(bucket, key, body, **options)

    result = metrics.clean(ports=replace(metrics.ports, store=Late()))["retention.metrics"]
    assert metrics.count() == 1200 + 360
    assert (metrics.counts["late"], metrics.counts["unarchived"]) == (810, 30)
    assert "810 rows were written late" in result.hint or "810 were written late" in result.hint
    assert metrics.receipt["balanced"]


def test_a_row_edited_after_it_was_archived_stays_and_is_reported(metrics):
    class Edited:
        def __getattr__(self, name):
            return getattr(metrics.store, name)

        def put(self, bucket, key, body, **options):
            if key.endswith("/archive.json"):
                metrics.sql.execute(
                    "UPDATE metrics SET labels = '{\"n\": 1.0}' WHERE id IN (SELECT id FROM metrics"
                    " WHERE importance = 'high' AND timestamp < now() - interval '90 days' ORDER BY id LIMIT 3)"
                )
                metrics.sql.execute(
                    "DELETE FROM metrics WHERE id = (SELECT max(id) FROM metrics WHERE importance = 'high')"
                )
            return metrics.store.put(bucket, key, body, **options)

    result = metrics.clean(ports=replace(metrics.ports, store=Edited()))["retention.metrics"]
    assert metrics.counts["edited"] == 3
    assert metrics.counts["archived"] == 26, "and one is gone by somebody else's hand"
    assert metrics.count("labels::text LIKE '%1.0%'") == 3
    assert "3 rows were edited" in result.hint
    assert metrics.give_back(into_table=True).verdict is Verdict.WARNING, "three stand there with other content"


def test_a_trigger_that_is_allowed_and_keeps_rows_breaks_the_balance_of_nothing(metrics):
    metrics.sql.execute(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER keep BEFORE DELETE ON metrics FOR EACH ROW EXECUTE FUNCTION keep()"
    )
    allowed = metrics.with_(rule=RULE.model_copy(update={"allow_triggers": True}))
    result = allowed.clean()["retention.metrics"]
    assert metrics.count() == 1200
    assert allowed.counts["discarded"] == 0
    assert any("trigger keep" in line for line in result.details)


@pytest.mark.parametrize(
    "kind",
    [
        "TRIGGER twin AFTER DELETE ON metrics",
        "CONSTRAINT TRIGGER twin AFTER DELETE ON metrics DEFERRABLE INITIALLY DEFERRED",  # it would act at the commit
    ],
)
def test_a_trigger_that_moves_more_rows_stops_the_run_and_rolls_back(metrics, kind):
    metrics.sql.execute(
        "CREATE FUNCTION twin() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF OLD.importance = 'normal' THEN"
        " DELETE FROM public.metrics WHERE id = OLD.id + 1 AND importance = 'high'; END IF; RETURN OLD; END$$;"
        f"CREATE {kind} FOR EACH ROW EXECUTE FUNCTION twin()"
    )
    allowed = metrics.with_(rule=RULE.model_copy(update={"allow_triggers": True}))
    before = metrics.count("importance = 'high'")
    result = allowed.clean()["retention.metrics"]
    assert result.verdict is Verdict.CRITICAL
    assert "The balance of a range of rows of public.metrics does not hold" in result.summary
    assert metrics.count("importance = 'high'") == before - 30, "only those of the archive are gone"


def test_a_table_that_is_refused_does_not_keep_the_others_from_being_done(metrics):
    from tdev_operators.core.database.retention.run import Request, clean

    wrong = RULE.model_copy(update={"table": "nowhere"})
    settings = metrics.settings
    retention = settings.retention.model_copy(update={"rules": (wrong, RULE)})
    both = settings.model_copy(update={"retention": retention})
    results = clean(metrics.ports, both, Request(metrics.run_id), journal=lambda *_: None)
    assert [result.verdict for result in results] == [Verdict.UNKNOWN, Verdict.OK, Verdict.OK]
    assert metrics.count() == 360


def test_without_the_journal_nothing_is_archived_or_removed(metrics):
    from tdev_operators.core.database.retention.run import Request, clean

    def down(*_):
        raise TargetUnreachableError("The ledger is away.")

    with pytest.raises(TargetUnreachableError):
        clean(metrics.ports, metrics.settings, Request(metrics.run_id), journal=down)
    assert metrics.count() == 1200
