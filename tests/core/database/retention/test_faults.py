"""What goes wrong meanwhile: locks, an index that goes, a store that dies, rows that change, a replica that lags."""

import itertools
import threading
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest

from tdev_operators.core.database.retention import removal
from tdev_operators.core.database.retention.pace import Pacer
from tdev_operators.core.database.retention.settings import Pace
from tdev_operators.core.errors import AccessDeniedError, BusyError, TargetUnreachableError
from tdev_operators.core.verdicts import Verdict


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


class Heard:
    """A session; `hear` is told of each statement before it is asked."""

    def __init__(self, session, hear):
        self._session, self._hear = session, hear

    def __getattr__(self, name):
        return getattr(self._session, name)

    def rows(self, statement, params=None):
        self._hear(self._session, statement if isinstance(statement, str) else statement.as_string())
        return self._session.rows(statement, params)


def heard(world, hear):
    """Return the ports with a database whose sessions are heard."""

    class Source:
        name = world.database.name

        @contextmanager
        def session(self, **options):
            with world.database.session(**options) as session:
                yield Heard(session, hear)

    return replace(world.ports, database=Source())


def before(begins, then, number=1):
    """Hear when it is the turn of the n-th statement that begins so, and do something first."""
    turns = itertools.count(1)

    def hear(_, text):
        if text.startswith(begins) and next(turns) == number:
            then()

    return hear


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


STRETCH = "-- what is discarded of a stretch goes"


def test_a_stretch_is_many_short_transactions(metrics):
    rows = metrics.with_(pace={"batch_rows": 10_000, "transaction_ms": 0.2})  # 100 rows until something was measured
    assert rows.clean()["retention.metrics"].verdict is Verdict.OK
    assert (rows.counts["archived"], rows.counts["discarded"]) == (30, 810)
    assert rows.counts["batches"] == 1 + 9, "one of archived rows; 870 in hundreds, none of which cuts a moment in two"


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "date"])
def test_a_time_is_a_moment_or_a_day_and_may_be_two_thousand_years_ago(metrics, kind):
    metrics.sql.execute(f"ALTER TABLE metrics ALTER COLUMN timestamp TYPE {kind}")
    metrics.sql.execute("UPDATE metrics SET timestamp = '0001-01-01' WHERE id = 1199")
    due = metrics.count("timestamp < now() - interval '30 days' AND importance <> 'high'")
    old = metrics.with_(pace={"batch_rows": 100})
    assert old.clean()["retention.metrics"].verdict is Verdict.OK
    assert old.counts["discarded"] in range(due - 10, due + 1), "today's midnight is another moment than now"


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


@pytest.mark.parametrize(
    "goes",
    [
        "DROP INDEX metrics_timestamp_idx",
        # As while DROP INDEX CONCURRENTLY waits for those who read it.
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'metrics_timestamp_idx'::regclass",
    ],
)
def test_an_index_that_is_dropped_meanwhile_sends_the_next_try_another_way(metrics, goes):
    def drop():
        metrics.sql.execute(goes)

    small = metrics.with_(pace={"batch_rows": 200})
    with pytest.raises(BusyError, match=r"metrics_timestamp_idx of public\.metrics was dropped meanwhile"):
        small.clean(ports=with_store(small, "archive.json", drop))
    result = small.clean()["retention.metrics"]
    assert result.verdict is Verdict.OK
    assert "ranges of its key (metrics_pkey)" in small.receipt["way"]
    assert (small.counts["archived"], small.counts["discarded"]) == (30, 810)
    assert metrics.count() == 360


@pytest.mark.parametrize("noted", [0.0, 60.0])
def test_an_index_that_is_dropped_between_two_tries_makes_no_row_count_twice(metrics, monkeypatch, noted):
    monkeypatch.setattr(removal, "_NOTED_SECONDS", noted)
    metrics.sql.execute("UPDATE metrics SET importance = 'high' WHERE id BETWEEN 400 AND 600")  # they stay till 90 days
    small = metrics.with_(pace={"batch_rows": 100})
    with pytest.raises(TargetUnreachableError):
        small.clean(ports=heard(small, before(STRETCH, dies, 4)))
    metrics.sql.execute("DROP INDEX metrics_timestamp_idx")
    assert small.counts["kept"] > 0
    assert small.clean()["retention.metrics"].verdict is Verdict.OK
    assert small.counts["rows"] == 1200
    assert small.counts["kept"] == metrics.count()
    assert small.receipt["balanced"]


def test_a_row_that_changes_while_its_range_is_removed_stays(metrics, database):
    """Somebody updates a row before its range goes; his transaction ends while ours waits for it."""
    with psycopg.connect(**database) as writer:
        ends = threading.Timer(0.3, writer.commit)

        def changes():
            writer.execute("UPDATE metrics SET value = -1 WHERE id = 700")
            ends.start()

        patient = metrics.with_(changes={"lock_timeout_ms": 5000}, pace={"batch_rows": 100})
        ports = heard(patient, before(STRETCH, changes))
        result = patient.clean(ports=ports)["retention.metrics"]
        ends.join()
    assert result.verdict is Verdict.OK
    assert metrics.counts["late"] == 1, "it was written after the run began"
    assert (metrics.counts["archived"], metrics.counts["discarded"]) == (30, 809)
    assert metrics.count("value = -1") == 1
    assert metrics.receipt["balanced"]


def test_a_row_that_is_written_into_a_range_while_it_is_removed_is_not_held_against_its_balance(metrics, database):
    """What is counted before and after a removal is the same snapshot."""
    with psycopg.connect(**database) as holder, psycopg.connect(**database, autocommit=True) as writer:

        def lets_go():
            writer.execute(
                "INSERT INTO metrics (name, value, timestamp) SELECT name, -1, timestamp FROM metrics WHERE id = 700"
            )
            holder.rollback()

        ends = threading.Timer(0.3, lets_go)

        def holds():
            holder.execute("SELECT FROM metrics WHERE id = 700 FOR UPDATE")
            ends.start()

        patient = metrics.with_(changes={"lock_timeout_ms": 5000}, pace={"batch_rows": 100})
        result = patient.clean(ports=heard(patient, before(STRETCH, holds)))["retention.metrics"]
        ends.join()
    assert result.verdict is Verdict.OK
    assert (metrics.counts["archived"], metrics.counts["discarded"]) == (30, 810)
    assert metrics.count("value = -1") == 1


def cut(small, number=4):
    """Let a run be cut off before its n-th stretch; return how many rows had gone until then."""
    with pytest.raises(TargetUnreachableError):
        small.clean(ports=heard(small, before(STRETCH, dies, number)))
    return 1200 - small.count()


def test_a_cut_is_counted_by_what_stands(metrics, monkeypatch):
    monkeypatch.setattr(removal.Removal, "close", lambda _: None)  # as after a kill
    small = metrics.with_(pace={"batch_rows": 100})
    gone = cut(small)
    assert "it was cut off: more rows may be gone, which the next try counts" in small.receipt["remarks"]
    assert small.clean()["retention.metrics"].verdict is Verdict.OK
    assert (small.counts["archived"], small.counts["discarded"]) == (30, 810)
    assert (
        f"a try was cut off: {gone - 30} rows that stood there before are counted as gone" in small.receipt["remarks"]
    )


WRITTEN = {
    "inserted": "INSERT INTO metrics (name, value, timestamp) SELECT 'late', 1, now() - interval '100 days'"
    " FROM generate_series(1, 40)",
    "edited": "UPDATE metrics SET value = -1 WHERE id IN (SELECT id FROM metrics WHERE importance <> 'high'"
    " AND timestamp < now() - interval '30 days' ORDER BY id LIMIT 40)",
    "edited and not due": "UPDATE metrics SET value = -1 WHERE timestamp > now() - interval '30 days'",
}


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("what", WRITTEN)
def test_what_was_written_since_a_cut_makes_its_count_unsure_and_never_too_high(metrics, monkeypatch, what, index):
    monkeypatch.setattr(removal.Removal, "close", lambda _: None)
    if not index:
        metrics.sql.execute("DROP INDEX metrics_timestamp_idx")
    small = metrics.with_(pace={"batch_rows": 100})
    cut(small, number=6)  # by key, young rows come first, of which none goes
    metrics.sql.execute(WRITTEN[what])
    verdict = small.clean()["retention.metrics"].verdict
    discarded = 770 if what == "edited" else 810
    assert small.receipt["balanced"]
    if what == "edited and not due":
        assert (verdict, small.counts["discarded"]) == (Verdict.OK, 810)
        return
    assert verdict is Verdict.UNKNOWN
    [line] = small.receipt["unsure"]
    assert line == "up to 40 more rows went with them, or were edited meanwhile"
    assert discarded - 40 <= small.counts["discarded"] <= discarded
    assert small.counts["late"] == 40


def test_an_import_that_was_under_way_when_rows_were_counted_is_not_taken_for_rows_that_stayed(
    metrics, database, monkeypatch
):
    monkeypatch.setattr(removal.Removal, "close", lambda _: None)
    small = metrics.with_(pace={"batch_rows": 100})
    with psycopg.connect(**database) as importer:
        importer.execute(WRITTEN["inserted"])
        metrics.sql.execute("SELECT pg_current_xact_id()")  # a later one, which is over
        gone = cut(small)
    assert small.clean()["retention.metrics"].verdict is Verdict.UNKNOWN
    assert small.counts["discarded"] in range(770, 811)
    assert any(f"{gone - 30 - 40} rows" in line for line in small.receipt["remarks"])


def test_a_cut_in_a_table_that_is_another_one_by_now_is_not_counted(metrics, monkeypatch):
    monkeypatch.setattr(removal.Removal, "close", lambda _: None)
    small = metrics.with_(pace={"batch_rows": 100})
    gone = cut(small)
    metrics.sql.execute(
        "CREATE TABLE other (LIKE metrics INCLUDING ALL); INSERT INTO other OVERRIDING SYSTEM VALUE"
        " SELECT * FROM metrics; DROP TABLE metrics; ALTER TABLE other RENAME TO metrics"
    )
    other = metrics.with_(run_id="", pace={"batch_rows": 100})
    assert other.clean()["retention.metrics"].verdict is Verdict.OK
    assert other.counts["discarded"] == 840 - gone
    assert small.receipt["unsure"] == ["what was removed by a try that was cut off: the table is another one by now"]
    assert metrics.count() == 360


def test_what_another_version_has_left_is_told_and_ends_nothing(metrics):
    small = metrics.with_(pace={"batch_rows": 100})
    cut(small)
    written = small.folder.read("progress.json") | {"to_discard": 7, "pending": {"xid": "7", "counts": {}}}
    small.folder.write("progress.json", written)
    assert small.clean()["retention.metrics"].verdict is Verdict.UNKNOWN
    assert small.receipt["unsure"] == ["what was removed by a try of another version, which was cut off"]
    assert metrics.count() == 360


def test_an_end_that_is_known_is_written_down(metrics):
    times = []

    def rest(*_):
        times.append(1)
        if len(times) == 4:
            raise BusyError("The standby is behind and does not catch up.")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Pacer, "rest", rest)
        small = metrics.with_(pace={"batch_rows": 100})
        with pytest.raises(BusyError):
            small.clean()
    assert small.folder.read("progress.json")["pending"] is None
    assert small.counts["discarded"] + small.counts["archived"] == 1200 - metrics.count()
    metrics.sql.execute("UPDATE metrics SET value = -1")
    assert small.clean()["retention.metrics"].verdict is Verdict.OK
    assert small.counts["rows"] == 900
    assert small.receipt["balanced"]


@pytest.mark.parametrize("key", ["date", "timestamptz", "mood", "bigint_not_null", 'text COLLATE "C"', "composed"])
def test_keys_of_all_kinds_are_walked_by_their_index(world, key):
    world.sql.execute(
        "CREATE TYPE mood AS ENUM ('a', 'b'); CREATE DOMAIN bigint_not_null AS bigint NOT NULL;"
        "CREATE TYPE composed AS (a int, b text);"
        f"CREATE TABLE metrics (k {key} NOT NULL, id bigint NOT NULL, importance text, timestamp timestamptz,"
        " PRIMARY KEY (k, id))"
    )
    value = {"mood": "'b'", "composed": "ROW(1, 'x%''y')::composed", "bigint_not_null": "7"}.get(key, "'2020-01-01'")
    world.sql.execute(
        f"INSERT INTO metrics SELECT {value}, n, CASE WHEN n % 100 = 0 THEN 'high' END,"
        " now() - make_interval(days => n % 200) FROM generate_series(1, 60000) AS n"
    )
    keyed = world.with_(pace={"batch_rows": 5000})
    assert keyed.clean()["retention.metrics"].verdict is Verdict.OK
    assert world.count("timestamp < now() - interval '91 days'") == 0
    read = world.sql.execute(
        "SELECT seq_tup_read + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'metrics')"
        " FROM pg_stat_user_tables WHERE relname = 'metrics'"
    ).fetchone()[0]
    assert read < 10 * 60_000, "not the whole index for each transaction"


def test_an_index_that_goes_in_the_middle_of_a_stretch_does_not_keep_it_for_long(metrics, monkeypatch):
    monkeypatch.setattr(removal, "_STRETCH_SECONDS", 0.0)
    one = metrics.with_(pace={"batch_rows": 10_000, "transaction_ms": 0.2})
    asked = []
    assert one.clean(ports=heard(one, lambda _, text: asked.append(text)))["retention.metrics"].verdict is Verdict.OK
    assert sum(text.startswith(STRETCH) for text in asked) >= 9, "a look at time, replicas and index after each"
    assert one.counts["discarded"] == 810


def test_no_value_of_a_row_and_no_size_stands_in_a_statement(metrics):
    asked: list[str] = []
    small = metrics.with_(pace={"batch_rows": 100})
    small.clean(ports=heard(small, lambda _, text: asked.append(text)))
    for begins in (STRETCH, "-- archived rows go"):
        assert len({text for text in asked if text.startswith(begins)}) == 1


def test_what_is_behind_a_locked_row_goes_all_the_same(metrics, database):
    tiny = metrics.with_(pace={"batch_rows": 10_000, "transaction_ms": 0.1})  # 50 rows
    with psycopg.connect(**database, application_name="sleeper") as sleeper:
        sleeper.execute("SELECT 1 FROM metrics WHERE id = 800 FOR UPDATE")
        assert tiny.clean()["retention.metrics"].verdict is Verdict.UNKNOWN
    [left] = tiny.receipt["left"]
    assert "sleeper, idle in transaction" in left
    assert 0 < metrics.count("timestamp < now() - interval '30 days' AND importance <> 'high'") <= 60


def test_who_holds_the_whole_table_is_not_asked_for_each_transaction(metrics, database):
    asked = []
    with psycopg.connect(**database, application_name="sleeper") as sleeper:
        sleeper.execute("LOCK TABLE metrics IN SHARE MODE")
        tiny = metrics.with_(pace={"batch_rows": 500, "transaction_ms": 0.1})
        ports = heard(tiny, lambda _, text: asked.append(text))
        assert tiny.clean(ports=ports)["retention.metrics"].verdict is Verdict.UNKNOWN
    assert sum(text.startswith(STRETCH) for text in asked) <= 4 * 2, (
        "the first fifty, then five hundred at a time, twice each"
    )
    assert metrics.count() == 1200
    assert metrics.with_(run_id="").clean()["retention.metrics"].verdict is Verdict.OK


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
            "transaction_ms": 2.0,
            "rest_percent": 50.0,
            "copy_rest_percent": 50.0,
            "replica_lag_mb": 64.0,
            "wal_mb_per_second": 32.0,
            "lock_waiters": 0,
            "pause_seconds": 5.0,
            **more,
        }
    )


def test_it_rests_after_a_stretch_but_not_for_ever_and_waits_for_a_replica():
    slept = []
    Pacer(rules(), sleep=slept.append).rest(Pressed((0, 0)), 0.4)
    Pacer(rules(), sleep=slept.append).rest(Pressed((0, 0)), 40)
    assert slept == [0.2, 10.0]
    pacer = Pacer(rules(), sleep=slept.append)
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


def test_transactions_become_as_long_as_they_may_be():
    stride = Pacer(rules()).stride()
    sizes = [stride.rows]
    for seconds_a_row in (1e-6, 1e-6, 1e-5, 1e-5, 1e-5, 1e-5):
        stride.took(stride.rows, stride.rows * seconds_a_row)
        sizes.append(stride.rows)
    assert sizes == [1000, 2000, 2000, 1000, 500, 250, 200]
    stride.took(50, 0.1)
    assert stride.rows == 100, "what takes long is made shorter, however few rows it were"
    stride.took(3, 0.0)  # what was left of a table says nothing
    assert stride.rows == 100
    stride.took(100, 0.0)
    assert stride.rows == 200
    stride.took(200, 0.0, blocked=True)
    assert stride.rows == 100, "who waits for us is let in sooner"
    for _ in range(9):
        stride.took(100, 0.1)
    assert stride.rows == 20, "more of them would be slower, and no gentler"
    assert Pacer(rules(), unpaced=True).stride().rows == 10_000


def test_whom_it_blocks_makes_transactions_smaller():
    pacer = Pacer(rules())
    pacer.blocked(1)
    assert pacer.size == 500
    pacer.blocked(0)
    assert pacer.size == 1000
    assert Pacer(rules(), unpaced=True).size > 1000
