"""What cannot be converted safely is refused in one sentence, before anything is made."""

from datetime import timedelta
from types import SimpleNamespace

import psycopg
import pytest

from tdev_operators.core.database.conversion.layout import MOST, layout
from tdev_operators.core.database.retention.rules import classes_of
from tdev_operators.core.database.retention.settings import RetentionException, RetentionRule
from tdev_operators.core.errors import AccessDeniedError, BusyError, InputError
from tests.core.database.conversion.conftest import PARTITIONS, SUNDAY
from tests.core.database.retention.conftest import METRICS

STANDS = [
    ("CREATE TABLE other (id bigint PRIMARY KEY)", ""),
    ("ALTER TABLE metrics ADD FOREIGN KEY (id) REFERENCES other (id) NOT VALID", "the foreign key metrics_id_fkey"),
    ("CREATE VIEW seen AS SELECT id FROM metrics", "the view public.seen refers to it by its number"),
    ("CREATE MATERIALIZED VIEW kept AS SELECT id FROM metrics", "the materialized view public.kept refers to it"),
    (
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT count(*) FROM metrics; END",
        "the function public.f() refers",
    ),
    (
        "CREATE FUNCTION g(metrics) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "the function public.g(public.metrics) refers",
    ),
    ("CREATE TABLE pair (one metrics)", "the column one of table public.pair refers to it"),
    ("CREATE RULE no AS ON UPDATE TO metrics DO ALSO NOTIFY x", "the rule no acts when its rows change"),
    ("CREATE POLICY mine ON metrics USING (true)", "the policy mine hides its rows"),
    ("CREATE PUBLICATION all_of_it FOR ALL TABLES", "the publication all_of_it publishes it"),
    ("CREATE PUBLICATION of_it FOR TABLE metrics", "the publication of_it publishes it"),
    ("CREATE TABLE mother (LIKE metrics); ALTER TABLE metrics INHERIT mother", "inherits from another table"),
    ("CREATE UNIQUE INDEX ON metrics (name, timestamp, value)", "is not over importance and timestamp"),
    ("ALTER TABLE metrics ADD EXCLUDE USING btree (id WITH =)", "the constraint metrics_id_excl cannot stand on"),
    ("ALTER TABLE metrics ADD CONSTRAINT low CHECK (value < 0) NOT VALID", "the constraint low cannot stand on"),
    ("CREATE TABLE metrics_high ()", "There is public.metrics_high already"),
    ("CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'", ""),
    (
        "CREATE TRIGGER noise AFTER INSERT ON metrics EXECUTE FUNCTION t()",
        "the trigger noise acts when its rows change",
    ),
]
LOST = [
    ("ALTER TABLE metrics REPLICA IDENTITY FULL", "the replica identity would be lost; set it back"),
    ("ALTER TABLE metrics SET (toast.autovacuum_enabled = off)", "what is set for its TOAST table would be lost"),
    ("ALTER TABLE metrics ALTER name SET STATISTICS 1000", "the statistics of the column name would be lost"),
    ("ALTER TABLE metrics ALTER value SET (n_distinct = -0.5)", "the statistics of the column value would be lost"),
    (
        "ALTER TABLE metrics DROP CONSTRAINT metrics_pkey, ADD PRIMARY KEY (id) INCLUDE (value)",
        "the INCLUDE of the key public.metrics_pkey would be lost",
    ),
]
ALONE = [
    ("ALTER TABLE metrics ALTER importance DROP NOT NULL", "The column importance of public.metrics may be NULL"),
    ("CREATE TABLE notes (metric bigint REFERENCES metrics (id))", "The foreign key notes_metric_fkey of public.notes"),
    ("ALTER TABLE metrics ENABLE ROW LEVEL SECURITY", "has row security"),
    ("ALTER TABLE metrics SET UNLOGGED", "is unlogged"),
    ("ALTER TABLE metrics DROP CONSTRAINT metrics_pkey", "so that no row can be told from another; add one"),
    ("CREATE TABLE metrics_tdev_changes ()", r"public\.metrics_tdev_changes is not ours"),
    ("ALTER TABLE metrics ALTER COLUMN importance TYPE char(10)", r"is of type character\(10\)"),
    ("DROP TABLE metrics; CREATE VIEW metrics AS SELECT 1 AS id", r"public\.metrics is a view"),
    ("DROP TABLE metrics", r"There is no table public\.metrics"),
]


def test_whatever_stands_on_it_is_named_all_at_once_a_sentence_each(metrics):
    for change, _ in (*STANDS, *LOST):
        metrics.sql.execute(change)
    before = metrics.catalogue()
    refused = [str(error) for error in metrics.look().refused]
    assert [sentence for _, sentence in (*STANDS, *LOST) if not any(sentence in one for one in refused)] == []
    assert all(one.count(". ") == 0 for one in refused), refused
    with pytest.raises(InputError):
        metrics.carry_out()
    assert metrics.catalogue() == before
    assert metrics.journal == []


def test_some_tables_are_none_for_it(metrics):
    for change, sentence in ALONE:
        metrics.sql.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        metrics.sql.execute(METRICS)
        metrics.sql.execute(change)
        with pytest.raises((InputError, AccessDeniedError), match=sentence):
            metrics.carry_out()
        assert metrics.one("SELECT count(*) FROM pg_class WHERE relname = 'metrics_partitioned'") == 0


def test_a_view_that_comes_meanwhile_stops_the_exchange_and_it_goes_on_without(metrics):
    closed = metrics.with_(clock=iter([SUNDAY] * 2 + [SUNDAY + timedelta(hours=5)] * 9).__next__)
    closed.carry_out()
    metrics.sql.execute("CREATE VIEW seen AS SELECT id FROM metrics")
    with pytest.raises(InputError, match=r"public\.seen refers to it"):
        metrics.carry_out()
    metrics.sql.execute("DROP VIEW seen")
    assert " partitions since " in metrics.carry_out().summary


def test_no_room_beside_it(metrics):
    class Host:
        name = "db"

        def run(self, argv, *, timeout_seconds):
            folders = argv[argv.index("--") + 1 :]
            lines = ["Filesystem 1024-blocks Used Available Capacity Mounted", *("/dev/x 9 9 1 99% /" for _ in folders)]
            return SimpleNamespace(exit_status=0, stdout="\n".join(lines), stderr="")

    watched = metrics.with_(hosts={"db": Host()}, database_host="db")
    assert any("There is no room beside public.metrics" in str(one) for one in watched.look().refused)
    rule = metrics.rule.model_copy(update={"partitions": PARTITIONS.model_copy(update={"unwatched_gb": 1e-9})})
    unwatched = metrics.with_(rule=rule)
    assert any("nobody tells how much disk is free" in str(one) for one in unwatched.look().refused)


def test_not_beside_an_old_transaction_or_a_dump(metrics, database):
    with psycopg.connect(**database, application_name="pg_dump") as dump:
        dump.execute("SELECT 1")
        assert any("A dump runs" in str(one) for one in metrics.look().refused)
        with pytest.raises(BusyError, match="A dump runs"):
            metrics.carry_out()


def test_a_standby_or_a_second_run_is_refused(metrics):
    from tdev_operators.core.database.alone import alone

    with alone(metrics.database, "retention"), pytest.raises(BusyError, match="Another retention is at work"):
        metrics.carry_out(wait_seconds=0)


def test_the_settings_name_the_table(metrics):
    with pytest.raises(InputError, match=r"is there for: public\.metrics"):
        metrics.carry_out(table="public.other")
    assert metrics.look(table="public.metrics").refused == ()


def test_too_many_partitions_are_refused():
    rule = RetentionRule(table="m", time_column="t", days=MOST, archive=False)
    with pytest.raises(InputError, match="more than 600 slow every statement down"):
        layout("m", "m_new", PARTITIONS.model_copy(update={"step": "day"}), classes_of(rule, SUNDAY), SUNDAY, None)


def test_settings_that_could_drop_no_partition_whole_are_refused():
    exception = RetentionException(column="name", value="x", days=90, archive=True)
    with pytest.raises(ValueError, match="by another column than the partitions"):
        RetentionRule(table="m", time_column="t", days=3, archive=False, exceptions=(exception,), partitions=PARTITIONS)
    exception = RetentionException(column="importance", value="odd", days=90, archive=True)
    with pytest.raises(ValueError, match=r"is none of partitions\.values"):
        RetentionRule(table="m", time_column="t", days=3, archive=False, exceptions=(exception,), partitions=PARTITIONS)
