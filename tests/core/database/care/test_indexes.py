"""Finding thin indexes, rebuilding them and sweeping what dead rebuilds left, on real servers."""

import re
import threading
import time
from contextlib import contextmanager

import psycopg
import pytest

from tdev_operators.core.database.care.budget import Budget
from tdev_operators.core.database.care.disk import Disk
from tdev_operators.core.database.care.indexes import survey_indexes
from tdev_operators.core.database.care.leftovers import Sweeping, invalid_indexes
from tdev_operators.core.database.care.measure import Instruments
from tdev_operators.core.database.care.rebuild import IndexFate, Rebuilding, care_for_indexes
from tdev_operators.core.errors import AccessDeniedError, DiskFullError, TargetUnreachableError
from tdev_operators.core.ports import CommandOutput

SMALL = {"minimum_mb": 0.1, "old_transaction_minutes": 0.05, "lock_wait_minutes": 0.05}


def sweeping(source, budget=None, journal=lambda *_: None):
    return Sweeping(source, budget or Budget(60.0), 3.0, 1.0, journal, lambda: None, lambda _: None)


@pytest.fixture
def limits(changed):
    return lambda **values: changed(care={"indexes": {**SMALL, **values}}).care


@pytest.fixture
def rebuild(limits):
    def run(source, *, seconds=60.0, disk=None, dry_run=False, hook=lambda: None, journal=None, **values):
        figures, notes = limits(**values), []
        with source.session() as session:
            suspects = survey_indexes(session, figures.indexes).suspects
            instruments = Instruments.of(session)
        hook()
        budget = Budget(seconds)
        job = Rebuilding(
            database=source,
            limits=figures,
            instruments=instruments,
            budget=budget,
            disk=disk or Disk({}, ""),
            sweeping=sweeping(source, budget, journal or (lambda event, facts: notes.append((event, facts)))),
            note=notes.append,
            check=lambda: None,
            progress=notes.append,
            dry_run=dry_run,
        )
        return {one.index.index_name: one for one in care_for_indexes(job, suspects)}

    return run


def valid_indexes(sql):
    rows = sql.execute(
        "SELECT indexrelid::regclass::text, indisvalid FROM pg_index "
        "WHERE indrelid > 16384 AND indrelid::regclass::text !~ 'toast'"
    ).fetchall()
    return dict(rows)


def test_only_the_thin_index_is_suspected_measured_and_rebuilt(modern, modern_source, thin, rebuild):
    thin(modern)
    done = rebuild(modern_source)
    assert set(done) == {"t_thin"}
    one = done["t_thin"]
    assert one.fate is IndexFate.REBUILT
    assert one.density < 15
    assert one.new_density > 85
    assert one.new_bytes < one.index.bytes / 5
    assert one.checked
    assert "every row found in it" in one.line
    assert rebuild(modern_source) == {}, "what was rebuilt is not done again"
    assert all(valid_indexes(modern).values())


def test_a_wrong_estimate_rebuilds_nothing(modern, modern_source, thin, rebuild):
    thin(modern)
    modern.execute("REINDEX TABLE t")
    # The statistics say that the table is nearly empty, as they do after a load.
    done = rebuild(modern_source, estimated_waste_percent=0.0)
    assert {name: one.fate for name, one in done.items()} == {"t_thin": IndexFate.DENSE, "t_dense": IndexFate.DENSE}


def test_without_an_instrument_nothing_is_rebuilt_and_it_says_what_is_missing(sql, source, thin, rebuild):
    thin(sql)
    one = rebuild(source)["t_thin"]
    assert (one.fate, one.why) == (IndexFate.ESTIMATED, "CREATE EXTENSION pgstattuple in this database")
    assert "estimated waste 8" in one.line
    assert rebuild(source, rebuild_on_estimate=True)["t_thin"].fate is IndexFate.REBUILT


def test_indexes_that_cannot_be_estimated_are_measured(modern, modern_source, thin, rebuild):
    modern.execute("CREATE TABLE e (a int, b text) WITH (autovacuum_enabled = off)")
    modern.execute("INSERT INTO e SELECT i, repeat('é', 20) || i FROM generate_series(1, 30000) AS i")
    modern.execute("CREATE INDEX odd ON e (lower(b), (a + 1)) INCLUDE (a) WHERE a > 5")
    one = rebuild(modern_source)["odd"]
    assert one.fate is IndexFate.DENSE
    modern.execute("ANALYZE e")
    assert rebuild(modern_source) == {}, "with statistics, expressions and included columns are estimated too"


def test_toast_other_schemas_and_odd_names_are_rebuilt(modern, modern_source, thin, rebuild):
    modern.execute('CREATE SCHEMA "Odd one"')
    thin(modern, 'say ""x""', schema="Odd one")
    modern.execute("CREATE TABLE big (id int, body text) WITH (toast.autovacuum_enabled = off)")
    modern.execute("ALTER TABLE big ALTER body SET STORAGE EXTERNAL")
    modern.execute("INSERT INTO big SELECT i, repeat('x', 4000) FROM generate_series(1, 8000) AS i")
    modern.execute("DELETE FROM big WHERE id % 20 <> 0")
    modern.execute("VACUUM (ANALYZE) big")
    done = rebuild(modern_source)
    assert {one.fate for one in done.values()} == {IndexFate.REBUILT}
    assert 'say "x"_thin' in done
    assert [name for name in done if name.startswith("pg_toast_")]


def test_a_dry_run_says_what_it_would_do(modern, modern_source, thin, rebuild):
    thin(modern)
    one = rebuild(modern_source, dry_run=True)["t_thin"]
    assert (one.fate, one.why) == (IndexFate.POSTPONED, "a dry run rebuilds nothing")
    assert one.index.text == 'REINDEX INDEX CONCURRENTLY "public"."t_thin";'
    assert set(rebuild(modern_source)) == {"t_thin"}


@pytest.mark.seeded
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("pg_dump", r"a dump runs \(pid \d+ of postgres \(pg_dump\)\)"),
        ("report", r"\(report\), whose transaction is open"),
    ],
)
def test_it_does_not_begin_beside_a_dump_or_an_old_transaction(
    modern, modern_source, modern_database, thin, rebuild, name, why
):
    thin(modern)
    with psycopg.connect(**modern_database, application_name=name) as other:
        other.execute("SELECT 1")
        time.sleep(3.1)
        one = rebuild(modern_source)["t_thin"]
        assert one.fate is IndexFate.POSTPONED
        assert re.search(why, one.why)
    assert rebuild(modern_source)["t_thin"].fate is IndexFate.REBUILT


def test_a_disk_without_room_postpones_it(modern, modern_source, thin, rebuild):
    thin(modern)
    one = rebuild(modern_source, disk=Disk({"db": Host(1024 * 1024)}, "db", ("/data",)))["t_thin"]
    assert one.fate is IndexFate.POSTPONED
    assert "1.0 MB of disk are free, 2.6 MB are asked for" in one.why


def test_two_rebuilds_do_not_promise_each_other_the_same_room():
    disk = Disk({"db": Host(3 * 1024**2)}, "db", ("/data", "/wal"))
    assert disk.lacks(1, 2 * 1024**2) == ""
    assert "1.0 MB of disk are free" in disk.lacks(2, 2 * 1024**2)
    disk.release(1)
    assert disk.lacks(2, 2 * 1024**2) == ""


def test_a_folder_that_our_user_may_not_see_is_no_room(modern, modern_source, thin, rebuild, sealed):
    """The log of a data directory that belongs to the server alone may lie on another disk, and that may be full."""
    thin(modern)
    folder, host = sealed
    one = rebuild(modern_source, disk=Disk({"db": host}, "db", (str(folder), f"{folder}/pg_wal")))["t_thin"]
    assert one.fate is IndexFate.POSTPONED
    assert f"{folder}/pg_wal: Permission denied" in one.why
    assert "Let our user there pass through it (setfacl" in one.why


class Host:
    """A host on which so many bytes are free, and twice as much on another disk."""

    name = "db"

    def __init__(self, free):
        self.free = free

    def run(self, argv, **_):
        folders = argv[argv.index("--") + 1 :]
        lines = [f"/dev/sda 9 9 {self.free // 1024 * number} 9% {folder}" for number, folder in enumerate(folders, 1)]
        return CommandOutput(0, "\n".join(["Filesystem ...", *lines]), "")


def test_a_wait_that_is_too_long_leaves_nothing_behind(modern, modern_source, modern_database, thin, rebuild):
    thin(modern)
    with psycopg.connect(**modern_database, application_name="idler") as other:
        other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        other.execute("SELECT count(*) FROM pg_class")
        one = rebuild(modern_source, old_transaction_minutes=60.0, lock_wait_minutes=0.02)["t_thin"]
        assert one.fate is IndexFate.POSTPONED
        assert "(idler)" in one.why
    assert valid_indexes(modern) == {"t_thin": True, "t_dense": True}
    assert sweeping(modern_source).sweep().kept == ()


def test_an_index_that_is_dropped_meanwhile_is_no_failure(modern, modern_source, thin, rebuild):
    thin(modern)
    one = rebuild(modern_source, hook=lambda: modern.execute("DROP INDEX t_thin"))["t_thin"]
    assert one.fate is IndexFate.GONE


def test_a_damaged_index_is_critical(modern, modern_source, thin, rebuild):
    thin(modern)
    # The function of amcheck, as it would end on a damaged index.
    modern.execute("DROP EXTENSION amcheck; CREATE EXTENSION amcheck")
    modern.execute(
        "CREATE OR REPLACE FUNCTION bt_index_check(index regclass, heapallindexed boolean) RETURNS void AS $$ BEGIN "
        "RAISE EXCEPTION 'heap tuple lacks a matching index tuple' USING ERRCODE = 'XX002'; END $$ LANGUAGE plpgsql"
    )
    one = rebuild(modern_source)["t_thin"]
    assert one.fate is IndexFate.DAMAGED
    assert "lacks a matching index tuple" in one.why


def leftover(sql, database, name="t_thin", times=1):
    """Let rebuilds die as they do: waiting for somebody's snapshot."""
    with psycopg.connect(**database) as other:
        other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        other.execute("SELECT count(*) FROM pg_class")
        sql.execute("SET lock_timeout = '300ms'")
        for _ in range(times):
            with pytest.raises(psycopg.errors.LockNotAvailable):
                sql.execute(f"REINDEX INDEX CONCURRENTLY {name}")
        sql.execute("RESET lock_timeout")


def test_leftovers_of_dead_rebuilds_are_swept_and_noted(modern, modern_source, modern_database, thin):
    thin(modern, rows=2000)
    leftover(modern, modern_database, times=2)
    names = [one.index_name for one in _invalid(modern_source)]
    assert names == ["t_thin_ccnew", "t_thin_ccnew1"]
    notes = []
    swept = sweeping(modern_source, journal=lambda *note: notes.append(note)).sweep()
    assert [one.index_name for one in swept.dropped] == names
    assert notes[0][0] == "leftover_dropped"
    assert notes[0][1]["definition"].startswith("CREATE INDEX t_thin_ccnew ON public.t")
    assert valid_indexes(modern) == {"t_thin": True, "t_dense": True}


def test_leftovers_of_toast_are_swept(modern, modern_source, modern_database):
    modern.execute("CREATE TABLE big (id int, body text); ALTER TABLE big ALTER body SET STORAGE EXTERNAL")
    modern.execute("INSERT INTO big SELECT i, repeat('x', 4000) FROM generate_series(1, 50) AS i")
    [toast] = modern.execute(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = (SELECT reltoastrelid FROM pg_class "
        "WHERE relname = 'big')"
    ).fetchone()
    leftover(modern, modern_database, name=toast)
    swept = sweeping(modern_source).sweep()
    assert [one.name for one in swept.dropped] == [f"{toast}_ccnew"]
    assert _invalid(modern_source) == []


def test_what_somebody_builds_or_nobody_can_prove_a_leftover_stays(modern, modern_source, modern_database, thin):
    thin(modern, rows=2000)
    leftover(modern, modern_database)
    with psycopg.connect(**modern_database) as other:
        other.execute("LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE")
        swept = sweeping(modern_source).sweep()
        assert swept.dropped == ()
        assert "works on its table" in swept.kept[0].kept
    modern.execute("CREATE TABLE u (a int); INSERT INTO u VALUES (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        modern.execute("CREATE UNIQUE INDEX CONCURRENTLY u_ccnew ON u (a)")
    swept = sweeping(modern_source).sweep()
    assert [one.index_name for one in swept.dropped] == ["t_thin_ccnew"]
    assert [one.index_name for one in swept.others] == ["u_ccnew"]


def test_what_cannot_be_noted_is_not_dropped(modern, modern_source, modern_database, thin):
    thin(modern, rows=2000)
    leftover(modern, modern_database)

    def no_ledger(*_):
        raise AccessDeniedError("the ledger is down")

    swept = sweeping(modern_source, journal=no_ledger).sweep()
    assert (swept.dropped, swept.kept[0].kept) == ((), "the ledger is down")


def test_a_rebuild_whose_server_session_is_ended_is_swept(modern, modern_source, modern_database, thin, rebuild):
    thin(modern, rows=300_000)

    def end_it():
        with psycopg.connect(**modern_database, autocommit=True) as other:
            for _ in range(2000):
                rows = other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_progress_create_index").fetchall()
                if rows:
                    return
                time.sleep(0.002)

    killer = threading.Thread(target=end_it)
    killer.start()
    with pytest.raises(TargetUnreachableError):
        rebuild(modern_source)
    killer.join()
    left = [one.index_name for one in _invalid(modern_source)]
    assert left in (["t_thin_ccnew"], []), "it may have ended before the new index was there"
    # The retry begins with a sweep.
    swept = sweeping(modern_source).sweep()
    assert [one.index_name for one in swept.dropped] == left
    assert _invalid(modern_source) == []
    assert rebuild(modern_source)["t_thin"].fate is IndexFate.REBUILT


def test_an_index_of_which_a_whole_range_was_removed_is_thin(modern, modern_source, rebuild):
    modern.execute("CREATE TABLE m (ts int) WITH (autovacuum_enabled = off)")
    modern.execute("INSERT INTO m SELECT i FROM generate_series(1, 200000) AS i; CREATE INDEX m_ts ON m (ts)")
    modern.execute("DELETE FROM m WHERE ts < 190000")
    modern.execute("VACUUM (ANALYZE) m")
    one = rebuild(modern_source)["m_ts"]
    assert one.fate is IndexFate.REBUILT
    assert one.density < 10, "its leaf pages are full, and most of its pages are no leaf pages any more"
    assert one.new_bytes < one.index.bytes / 10


def test_an_index_with_room_to_spare_is_not_thin_for_that(modern, modern_source, rebuild):
    modern.execute("CREATE TABLE f (a int, b int) WITH (autovacuum_enabled = off)")
    modern.execute("INSERT INTO f SELECT i % 1000, i FROM generate_series(1, 60000) AS i")
    modern.execute("CREATE INDEX roomy ON f (a, b) WITH (fillfactor = 50)")
    modern.execute("ANALYZE f")
    assert rebuild(modern_source) == {}
    assert rebuild(modern_source, estimated_waste_percent=0.0)["roomy"].fate is IndexFate.DENSE


def test_it_waits_for_no_lock_to_see_what_there_is(modern, modern_source, modern_database, thin, limits):
    thin(modern, rows=2000)
    with psycopg.connect(**modern_database) as other:
        other.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        with modern_source.session() as session:
            session.rows("SET lock_timeout = '1s'")
            survey_indexes(session, limits(minimum_mb=0.01).indexes)
            invalid_indexes(session)


def test_a_rebuild_gives_way_to_somebody_who_wants_the_table(modern, modern_source, modern_database, thin, rebuild):
    thin(modern)
    with psycopg.connect(**modern_database) as idle, psycopg.connect(**modern_database, autocommit=True) as deploy:
        idle.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        idle.execute("SELECT count(*) FROM pg_class")
        deploy.execute("SET application_name = 'deploy'")
        took = []

        def alter():
            while not modern.execute("SELECT 1 FROM pg_stat_progress_create_index").fetchall():
                time.sleep(0.01)
            began = time.monotonic()
            deploy.execute("ALTER TABLE t ADD COLUMN y int")
            took.append(time.monotonic() - began)

        thread = threading.Thread(target=alter)
        thread.start()
        one = rebuild(modern_source, old_transaction_minutes=60.0, lock_wait_minutes=1.0)["t_thin"]
        thread.join(30)
    assert one.fate is IndexFate.POSTPONED
    assert "it gave way to pid" in one.why
    assert took[0] < 10
    assert valid_indexes(modern) == {"t_thin": True, "t_dense": True}


def test_a_full_disk_is_said_to_be_full_and_no_other_rebuild_is_begun(modern, modern_source, thin, rebuild):
    thin(modern, "a")
    thin(modern, "b")
    real = modern_source.session

    class Full:
        name = modern_source.name

        @contextmanager
        def session(self, **keywords):
            with real(**keywords) as session:
                yield FullSession(session)

    class FullSession:
        def __init__(self, session):
            self.session, self.pid = session, session.pid

        def rows(self, statement, params=None):
            if "REINDEX" in (statement if isinstance(statement, str) else statement.as_string()):
                raise DiskFullError("The database found the disk full (No space left on device).")
            return self.session.rows(statement, params)

    done = rebuild(Full(), rebuild_at_once=1)
    assert sorted(one.fate for one in done.values()) == [IndexFate.DISK_FULL, IndexFate.POSTPONED]
    assert next(one.why for one in done.values() if one.fate is IndexFate.POSTPONED) == "the disk was full"


def _invalid(source):
    with source.session() as session:
        return invalid_indexes(session)
