"""What goes wrong meanwhile: locks, an index that goes, a store that dies, rows that change, a replica that lags."""

from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest

from tdev_operators.core.database.retention.pace import Pacer
from tdev_operators.core.database.retention.rules import classes_of
from tdev_operators.core.database.retention.settings import Pace
from tdev_operators.core.database.retention.statements import Statements
from tdev_operators.core.database.retention.table import read_table
from tdev_operators.core.errors import AccessDeniedError, BusyError, TargetUnreachableError
from tdev_operators.core.verdicts import Verdict
from tests.core.database.retention.conftest import RULE


class Store:
    """The store, with something that happens when a key is written; `then` may raise."""

    def __init__(self, world, word, then, *, times=1):
        self._world, self._word, self._then, self._times = world, word, then, times

    def __getattr__(self, name):
        return getattr(self._world.store, name)

    def put(self, bucket, key, body, **options):
        if self._word in key and self._times:
            self._times -= 1
            self._then()
        return self._world.store.put(bucket, key, body, **options)


def dies():
    raise TargetUnreachableError("The store is away.")


def with_store(world, word, then, **options):
    return replace(world.ports, store=Store(world, word, then, **options))


def with_sessions(world, wrapped):
    class Source:
        name = world.database.name

        @contextmanager
        def session(self, **options):
            with world.database.session(**options) as session:
                yield wrapped(session)

    return replace(world.ports, database=Source())


@pytest.mark.seeded
@pytest.mark.parametrize(
    "word", ["plan.json", "part-00001.parquet.json", "archive.json", "progress.json", "receipt.json"]
)
def test_the_store_dies_and_nothing_is_lost_or_done_twice(metrics, word):
    before = metrics.rows()
    with pytest.raises(TargetUnreachableError):
        metrics.clean(ports=with_store(metrics, word, dies))
    if word != "receipt.json":
        assert metrics.rows() == before, "what is not written down is rolled back"
    assert metrics.clean()["retention.metrics"].verdict is Verdict.OK
    assert (metrics.counts["archived"], metrics.counts["discarded"]) == (30, 810)
    metrics.give_back(into_table=True)
    assert metrics.count() == 390


def test_a_store_that_keeps_something_else_is_found_out_before_anything_is_removed(metrics):
    class Liar:
        def __getattr__(self, name):
            return getattr(metrics.store, name)

        def read(self, bucket, key, **options):
            body = b"".join(metrics.store.read(bucket, key, **options))
            yield body[:100] + bytes([body[100] ^ 1]) + body[101:] if key.endswith(".parquet") else body

    before = metrics.rows()
    result = metrics.clean(ports=replace(metrics.ports, store=Liar()))["retention.metrics"]
    assert result.verdict is Verdict.CRITICAL
    assert "is not what was stored there" in result.summary
    assert metrics.rows() == before


def test_a_value_that_changes_on_its_way_is_found_out(metrics, monkeypatch):
    from tdev_operators.core.database.retention import archive

    read = archive._read_lines
    monkeypatch.setattr(
        archive,
        "_read_lines",
        lambda columns, lines, schema: read(columns, [line.replace("cpu", "gpu", 1) for line in lines], schema),
    )
    before = metrics.rows()
    result = metrics.clean()["retention.metrics"]
    assert result.verdict is Verdict.CRITICAL
    assert "does not hold what the snapshot held: 30 of 30 rows, 30 of them with other values" in result.summary
    assert metrics.rows() == before


def test_a_lock_of_an_idle_transaction_costs_its_range_only_and_the_holder_is_named(metrics, database):
    with psycopg.connect(**database, application_name="sleeper") as sleeper:
        sleeper.execute("SELECT 1 FROM metrics WHERE id = 800 FOR UPDATE")
        result = metrics.with_(pace={"batch_rows": 100}).clean()["retention.metrics"]
    assert result.verdict is Verdict.UNKNOWN
    [told] = result.coverage.skipped.values()
    assert "sleeper, idle in transaction" in told
    left = metrics.count("timestamp < now() - interval '30 days' AND importance <> 'high'")
    assert 0 < left <= 100
    assert metrics.with_(run_id="").clean()["retention.metrics"].verdict is Verdict.OK
    assert metrics.count() == 360


def test_a_transaction_is_many_short_statements(metrics):
    statements = []

    class Session:
        def __init__(self, session):
            self._session = session

        def __getattr__(self, name):
            return getattr(self._session, name)

        def touched(self, statement, params=None):
            statements.append(touched := self._session.touched(statement, params))
            return touched

    rows = metrics.with_(pace={"batch_rows": 10_000, "statement_ms": 0.5})  # 250 rows until something was measured
    assert rows.clean(ports=with_sessions(metrics, Session))["retention.metrics"].verdict is Verdict.OK
    assert (rows.counts["batches"], rows.counts["discarded"]) == (2, 810)
    assert len(statements) == 1 + 4, "one of archived rows, and a range of time in four pieces"
    assert sum(statements) == 840


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "date"])
def test_a_range_of_two_thousand_years_is_cut(metrics, kind):
    metrics.sql.execute(f"ALTER TABLE metrics ALTER COLUMN timestamp TYPE {kind}")
    metrics.sql.execute("UPDATE metrics SET timestamp = '0001-01-01' WHERE id = 1199")
    due = metrics.count("timestamp < now() - interval '30 days' AND importance <> 'high'")
    old = metrics.with_(pace={"batch_rows": 10_000, "statement_ms": 0.5})
    assert old.clean()["retention.metrics"].verdict is Verdict.OK
    assert old.counts["discarded"] in range(due - 10, due + 1), "today's midnight is another moment than now"
    with metrics.database.session() as session:
        table = read_table(session, RULE)
        cuts = Statements(table, classes_of(RULE, datetime.now(UTC))).cuts()
        span = {"first": "0001-01-01", "upto0": "2026-11-30", "pieces": 20_000}
        assert len(session.rows(cuts, span)) == span["pieces"] - 1


def test_a_table_locked_whole_is_tried_again_later(metrics, database):
    with psycopg.connect(**database) as sleeper:
        sleeper.execute("LOCK TABLE metrics IN SHARE MODE")
        result = metrics.clean()["retention.metrics"]
    assert result.verdict is Verdict.UNKNOWN
    assert metrics.count() == 1200


def test_a_table_that_nobody_may_read_now_is_waited_for_briefly(metrics, database):
    def lock():
        locker.execute("LOCK TABLE metrics IN ACCESS EXCLUSIVE MODE")

    with psycopg.connect(**database) as locker:
        lock()
        with pytest.raises(BusyError):
            metrics.clean()
        locker.rollback()
        with pytest.raises(BusyError):
            metrics.clean(ports=with_store(metrics, "archive.json", lock))
    assert metrics.clean()["retention.metrics"].verdict is Verdict.OK
    assert (metrics.counts["archived"], metrics.counts["discarded"]) == (30, 810)


def test_an_index_that_is_dropped_meanwhile_sends_the_next_try_another_way(metrics):
    def drop():
        metrics.sql.execute("DROP INDEX metrics_timestamp_idx")

    small = metrics.with_(pace={"batch_rows": 200})
    with pytest.raises(BusyError, match=r"metrics_timestamp_idx of public\.metrics was dropped meanwhile"):
        small.clean(ports=with_store(small, "archive.json", drop))
    result = small.clean()["retention.metrics"]
    assert result.verdict is Verdict.OK
    assert "ranges of its key (metrics_pkey)" in small.receipt["way"]
    assert (small.counts["archived"], small.counts["discarded"]) == (30, 810)
    assert metrics.count() == 360


def test_an_index_that_is_dropped_between_two_tries_makes_no_row_count_twice(metrics):
    metrics.sql.execute("UPDATE metrics SET importance = 'high' WHERE id BETWEEN 400 AND 600")  # they stay till 90 days
    small = metrics.with_(pace={"batch_rows": 100})
    writes = []

    def breaks_off():
        writes.append(1)
        if len(writes) == 8:
            raise TargetUnreachableError("The store is away.")

    with pytest.raises(TargetUnreachableError):
        small.clean(ports=with_store(small, "progress.json", breaks_off, times=99))
    metrics.sql.execute("DROP INDEX metrics_timestamp_idx")
    assert small.counts["kept"] > 0
    assert small.clean()["retention.metrics"].verdict is Verdict.OK
    assert small.counts["rows"] == 1200
    assert small.counts["kept"] == metrics.count()
    assert small.receipt["balanced"]


def test_a_row_that_changes_while_its_range_is_removed_stays(metrics, database):
    """Somebody updates a row between the count and the removal; his transaction ends while ours waits."""
    writer = psycopg.connect(**database)

    class Session:
        begun = False

        def __init__(self, session):
            self._session = session

        def __getattr__(self, name):
            return getattr(self._session, name)

        def touched(self, statement, params=None):
            if "discarded" in statement.partition("\n")[0] and not Session.begun:
                Session.begun = True
                writer.execute("UPDATE metrics SET value = -1 WHERE id = 700")
                writer.commit()
            return self._session.touched(statement, params)

    result = metrics.clean(ports=with_sessions(metrics, Session))["retention.metrics"]
    writer.close()
    assert result.verdict is Verdict.OK
    assert metrics.counts["late"] == 1, "it was written after the run began"
    assert metrics.count("value = -1") == 1
    assert metrics.receipt["balanced"]


def test_another_run_at_work_is_waited_for(metrics):
    from tdev_operators.core.database.alone import alone

    with alone(metrics.database, "retention"), pytest.raises(BusyError, match="Another retention is at work"):
        metrics.clean()
    assert metrics.count() == 1200


def test_columns_that_change_between_two_tries_are_refused(metrics):
    with pytest.raises(TargetUnreachableError):
        metrics.clean(ports=with_store(metrics, "archive.json", dies))
    metrics.sql.execute("ALTER TABLE metrics ADD host text")
    result = metrics.clean()["retention.metrics"]
    assert result.verdict is Verdict.UNKNOWN
    assert "has other columns" in result.summary or "other columns" in result.summary
    assert metrics.count() == 1200


class Pressed:
    """A session that answers what the server's pressure is."""

    def __init__(self, *answers):
        self._answers = list(answers)

    def rows(self, *_):
        lag, wal = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [{"lag_bytes": lag, "wal_bytes": wal, "reader": "the standby two", "unseen": 0}]


def rules(**more):
    return Pace(
        **{
            "batch_rows": 1000,
            "statement_ms": 2.0,
            "rest_percent": 50.0,
            "replica_lag_mb": 64.0,
            "wal_mb_per_second": 32.0,
            "lock_waiters": 0,
            "pause_seconds": 5.0,
            **more,
        }
    )


def test_it_rests_after_each_statement_but_not_long_with_rows_locked_and_waits_for_a_replica():
    slept = []
    pacer = Pacer(rules(), sleep=slept.append)
    pacer.breathe(0.4)
    pacer.breathe(40)
    assert slept == [0.2, 1.0]
    pacer.rest(Pressed((65_000_000, 0), (65_000_000, 0), (0, 0)), 0)
    assert pacer.reasons == {"replica lag": 2}


def test_a_replica_that_does_not_catch_up_ends_the_run():
    with pytest.raises(BusyError, match="The standby two is 65 MB behind and does not catch up"):
        Pacer(rules(pause_seconds=0.01), sleep=lambda _: None).rest(Pressed((65_000_000, 0)), 0)


def test_replicas_that_cannot_be_seen_are_refused_unless_nobody_is_given_way_to():
    class Blind:
        def rows(self, *_):
            return [{"unseen": 2}]

    with pytest.raises(AccessDeniedError, match=r"How far 2 replicas .* GRANT pg_monitor"):
        Pacer(rules()).refuse_blind(Blind())
    Pacer(rules(), unpaced=True).refuse_blind(Blind())


def test_it_writes_no_more_log_than_it_may():
    slept = []
    pacer = Pacer(rules(rest_percent=0.0), sleep=slept.append)
    pacer.rest(Pressed((0, 64_000_000)), 0)
    assert 1.9 < sum(slept) <= 2.0
    assert pacer.reasons == {"WAL rate": 1}


def test_statements_become_as_long_as_they_may_be():
    stride = Pacer(rules()).stride()
    sizes = [stride.rows]
    for seconds_a_row in (1e-6, 1e-6, 1e-5, 1e-5, 1e-5, 1e-5):
        stride.took(stride.rows, stride.rows * seconds_a_row)
        sizes.append(stride.rows)
    assert sizes == [1000, 2000, 2000, 1000, 500, 250, 200]
    stride.took(50, 0.1)
    assert stride.rows == 100, (
        "what takes long is made shorter, however few rows it were; and none is shorter than that"
    )
    stride.took(100, 0.1)
    assert stride.rows == 100
    stride.took(100, 0.001)
    assert stride.rows == 200
    stride.took(3, 0.0)  # what was left of a transaction says nothing
    assert stride.rows == 200
    stride.took(200, 0.0)
    assert stride.rows == 400
    assert Pacer(rules(), unpaced=True).stride().rows == 10_000


def test_whom_it_blocks_makes_transactions_smaller():
    pacer = Pacer(rules())
    pacer.blocked(1)
    assert pacer.size == 500
    pacer.blocked(0)
    assert pacer.size == 1000
    assert Pacer(rules(), unpaced=True).size > 1000
