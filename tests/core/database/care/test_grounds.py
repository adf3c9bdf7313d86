"""Care where it happens in truth: full disks, a standby that lags, forgotten transactions."""

import shutil
import time
from contextlib import contextmanager
from types import SimpleNamespace

import psycopg
import pytest

from sandbox.postgres import UNPRIVILEGED_USER
from tdev_operators.core.database.care.run import care_for_database
from tdev_operators.core.database.ports import CarePorts
from tdev_operators.core.errors import TargetUnreachableError
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.ledger import PostgresLedger
from tdev_operators.hooks.ledger_schema import migrate
from tests.core.database.care.figures import FIGURES, REF, SECTIONS
from tests.records import facts_of
from tests.small_disks import SmallDisk

pytestmark = pytest.mark.xdist_group("grounds")
_MB = 1024**2
BOTH = {"t_thin": True, "t_dense": True}


class Cared:
    """A database on the ground with a thin index, and Thursday's care of it."""

    def __init__(self, ground, sql, changed, ledger):
        self.ground, self.sql, self.changed, self.ledger = ground, sql, changed, ledger
        self.told = []

    def care(self, *, indexes=(), at_rebuild=lambda: None, **figures):
        """Care for it with these figures; return the results by their checks. `at_rebuild` happens right before one."""
        indexes = {**FIGURES["indexes"], "lock_wait_minutes": 0.01, **dict(indexes)}
        settings = self.changed(**{**SECTIONS, "care": {**FIGURES, "indexes": indexes, **figures}})
        ports = CarePorts(system=SimpleNamespace(hosts={}), database=self.ground.source, server=None, store=None)
        self.told.clear()

        def progress(line):
            self.told.append(line)
            if line.startswith("rebuilding "):
                at_rebuild()

        outcome = care_for_database(ports, settings, self.ledger, REF, check=lambda: None, progress=progress)
        return {one.check: one for one in outcome.results}

    def indexes(self):
        """Each index, and whether it is valid."""
        rows = self.sql.execute(
            "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid = 't'::regclass"
        ).fetchall()
        return dict(rows)

    def rows(self):
        """What the table holds, and what its thin index finds of it."""
        [all_of_it] = self.sql.execute("SELECT md5(string_agg(t::text, ',' ORDER BY n)) FROM t").fetchone()
        self.sql.execute("SET enable_seqscan = off")
        found = self.sql.execute("SELECT count(*), sum(id) FROM t WHERE id > 0").fetchone()
        self.sql.execute("RESET enable_seqscan")
        return all_of_it, found


@pytest.fixture
def cared(ground, database, changed, thin):
    """A table with a thin index on the ground, and a ledger elsewhere."""
    facts = facts_of(database)
    migrate(facts)
    sql = ground.connect()
    sql.execute("CREATE EXTENSION pgstattuple; CREATE EXTENSION amcheck")
    thin(sql)
    return Cared(ground, sql, changed, PostgresLedger(facts))


@contextmanager
def tablespace(ground, supervisor, size):
    """A tablespace on a small disk of its own."""
    disk = SmallDisk(supervisor, "tablespace", size)
    place = disk.folder / "small"
    place.mkdir()
    shutil.chown(place, UNPRIVILEGED_USER)
    sql = ground.connect()
    sql.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
    yield disk
    sql.execute("DROP TABLE t")
    sql.execute("DROP TABLESPACE small")
    disk.close()


def test_a_disk_that_a_rebuild_fills_leaves_nothing_behind(cared, ground, supervisor):
    with tablespace(ground, supervisor, 4 * _MB) as disk:
        cared.sql.execute("ALTER INDEX t_thin SET TABLESPACE small")
        before = cared.rows()
        disk.fill(leave=64 * 1024)
        found = cared.care()["care.indexes"]
        assert found.verdict is Verdict.CRITICAL
        assert "t_thin found the disk full:" in found.summary
        assert "No space left on device" in found.summary
        assert (cared.indexes(), cared.rows()) == (BOTH, before)
        disk.clear()
        assert "1 rebuilt" in cared.care()["care.indexes"].summary
        assert (cared.indexes(), cared.rows()) == (BOTH, before)


def test_a_log_that_finds_the_disk_full_under_a_rebuild_takes_the_server_down_and_nothing_else(cared, ground):
    before = cared.rows()
    gone = r"found the disk full .*pg_wal.*And then: .*(cannot be reached|broke the connection off)"
    with pytest.raises(TargetUnreachableError, match=gone):
        cared.care(at_rebuild=lambda: ground.fill_disk_and_log(leave=64 * 1024))
    assert "rebuilding t_thin" in cared.told[-1]
    ground.disk.clear()
    ground.lives()
    cared.sql = ground.connect()
    assert cared.indexes() == {**BOTH, "t_thin_ccnew": False}, "nobody could sweep it while the server was down"
    found = cared.care()
    assert found["care.leftovers"].summary.startswith("1 invalid index of dead rebuilds was dropped")
    assert "1 rebuilt" in found["care.indexes"].summary
    assert (cared.indexes(), cared.rows()) == (BOTH, before)


def test_a_standby_that_lags_postpones_a_rebuild(cared, ground):
    lag = {"behind_mb": 0.3}
    with ground.standby() as standby, standby.connect() as there:
        there.execute("SELECT pg_wal_replay_pause()")
        cared.sql.execute("CREATE TABLE u AS SELECT i FROM generate_series(1, 10000) AS i")
        found = cared.care(indexes=lag)["care.indexes"]
        assert found.verdict is Verdict.WARNING
        assert "t_thin postponed: the standby walreceiver has 0." in found.summary
        there.execute("SELECT pg_wal_replay_resume()")
        ground.caught_up()
        assert "1 rebuilt" in cared.care(indexes=lag)["care.indexes"].summary


def test_a_prepared_transaction_postpones_a_rebuild_and_is_named_as_the_horizons_holder(cared):
    cared.sql.execute("BEGIN; INSERT INTO t VALUES (1, -1, 'x'); PREPARE TRANSACTION 'forgotten'")
    try:
        for _ in range(3):
            cared.sql.execute("SELECT pg_current_xact_id()")
        found = cared.care(indexes={"old_transaction_minutes": 0.0001}, old_horizon_transactions=2)
        assert found["care.horizon"].verdict is Verdict.WARNING
        assert found["care.horizon"].summary.startswith("The prepared transaction 'forgotten' of postgres in ")
        wait = "t_thin postponed: a rebuild would wait for the prepared transaction 'forgotten' of postgres,"
        assert wait in found["care.indexes"].summary
        assert cared.indexes() == BOTH
        # It is younger than what keeps a rebuild from its beginning.
        found = cared.care(indexes={"old_transaction_minutes": 10})
        assert "it waited 600 ms for the prepared transaction 'forgotten' of postgres" in found["care.indexes"].summary
        stays = "t_thin_ccnew is not valid and stays: the prepared transaction 'forgotten' of postgres has a lock on t,"
        assert found["care.leftovers"].summary.startswith(stays)
    finally:
        cared.sql.execute("ROLLBACK PREPARED 'forgotten'")
    found = cared.care()
    assert found["care.leftovers"].summary.startswith("1 invalid index of dead rebuilds was dropped")
    assert "1 rebuilt" in found["care.indexes"].summary
    assert cared.indexes() == BOTH


def test_a_lock_through_the_whole_run_is_gone_round_and_its_holder_named(cared, ground):
    cared.sql.execute("CREATE TABLE u (i int) WITH (autovacuum_enabled = off)")
    cared.sql.execute("INSERT INTO u SELECT i FROM generate_series(1, 5000) AS i; DELETE FROM u WHERE i > 10")
    cared.sql.execute("SELECT pg_stat_force_next_flush()")
    with psycopg.connect(**ground.cluster.conninfo(ground.name), application_name="night-job") as other:
        other.execute("LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE")
        began = time.monotonic()
        found = cared.care(minutes=0.1)
        assert time.monotonic() - began < 10
        tables, indexes = found["care.tables"], found["care.indexes"]
        assert (tables.verdict, indexes.verdict) == (Verdict.WARNING, Verdict.WARNING)
        assert "t got none: pid " in tables.summary
        assert "(night-job) has a lock on it" in tables.summary
        assert any(line.startswith("u: 4,990 dead rows") and "4,990 -> 0 dead rows" in line for line in tables.details)
        assert "t_thin postponed: it waited 600 ms for pid " in indexes.summary
        assert "(night-job)" in indexes.summary
        assert cared.indexes() == BOTH
    assert "1 rebuilt" in cared.care()["care.indexes"].summary
