"""What happens to PostgreSQL and to the tables while they are dumped."""

import threading

import psycopg

from sandbox.fault_proxy import Call, Cut
from tests.faults.harm import harmless
from tests.faults.moments import Moment, at, named, passing
from tests.faults.source import DATABASE, VICTIM_ROWS, renew_victim
from tests.faults.worker import TRY_AGAIN

_PASSING = (
    passing("tdev-backup", 0.02),
    passing("tdev-backup", 0.4),
    passing("pg_dump", 0.01),
    passing("pg_dump", 0.5),
    passing("pg_dump", 0.95),
)
_CHANGES = {
    "dropped": "DROP TABLE victim",
    "altered": "ALTER TABLE victim ALTER COLUMN id TYPE bigint, ADD COLUMN more text DEFAULT 'x'",
    "truncated": "TRUNCATE victim",
    "added": "CREATE TABLE newcomer AS SELECT n FROM generate_series(1, 1000) AS n",
}
# A connection's beginning, before it can have asked anything: the list of tables is the watcher's first question.
_BEGINS = tuple(Moment(f"connection {nth} of the back-up", "postgres", named("tdev-backup"), nth=nth) for nth in (2, 6))


def _broke_off_or_went_on_whole(run):
    """At the very beginning, it is the look at the ledger that breaks off, and that is done again."""
    assert run.status == TRY_AGAIN or (run.status == 0 and "backup.ledger" not in run.result["verdicts"]), run.log


@at("PostgreSQL restarted", *_PASSING)
def test_postgresql_is_restarted(world, fault, moment, holder, record):
    threads = []

    def restart():
        threads.append(threading.Thread(target=lambda: (world.cluster.stop(mode="immediate"), world.cluster.start())))
        threads[0].start()
        threads[0].join()

    with world.armed(moment, Call(restart)):
        run = world.start("take", holder=holder).wait()
    threads[0].join()
    _broke_off_or_went_on_whole(run)
    record(fault, moment.name, harmless(world, run, holder=holder))


@at("connection cut", *_PASSING)
def test_a_connection_is_cut(world, fault, moment, holder, record):
    with world.armed(moment, Cut()):
        run = world.start("take", holder=holder).wait()
    _broke_off_or_went_on_whole(run)
    record(fault, moment.name, harmless(world, run, holder=holder))


@at("every connection cut", *_PASSING)
def test_every_connection_is_cut(world, fault, moment, holder, record):
    with world.armed(moment, Cut(everything=True)):
        run = world.start("take", holder=holder).wait()
    _broke_off_or_went_on_whole(run)
    record(fault, moment.name, harmless(world, run, holder=holder))


def _meddled(world, moment, holder, what):
    """Take a set while somebody changes a table; return the run, and when the change had its lock."""
    changed_at, threads = [], []

    def change():
        with world.cluster.connect(DATABASE) as connection, connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '60s'")
            connection.execute(_CHANGES[what])
            changed_at.append(connection.execute("SELECT clock_timestamp()").fetchone()[0])

    def begin():
        threads.append(threading.Thread(target=change))
        threads[0].start()
        threads[0].join(0.3)  # it has ended, or waits for the holder of the snapshot

    try:
        with world.armed(moment, Call(begin)):
            run = world.start("take", holder=holder).wait()
        threads[0].join()
    finally:
        renew_victim(world.cluster)
    return run, changed_at[0]


def _check(world, fault, moment, holder, record):
    what = fault.rpartition(" ")[2]
    run, changed_at = _meddled(world, moment, holder, what)
    if run.status == 0:
        dump = world.repository.manifest(run.result["set_id"]).databases[0]
        before = world.repository.manifest(world.baseline).databases[0].rows
        gone = {"dropped": -VICTIM_ROWS, "truncated": -VICTIM_ROWS, "altered": 0, "added": 1000}[what]
        # The set holds what was there at its snapshot: all of it, or nothing.
        assert dump.rows == before + (gone if changed_at < dump.snapshot_at else 0), run.log
    else:
        assert run.status == TRY_AGAIN, run.log
    record(fault, moment.name, harmless(world, run, holder=holder))


@at("table dropped", *_BEGINS, *_PASSING)
def test_a_table_is_dropped(world, fault, moment, holder, record):
    _check(world, fault, moment, holder, record)


@at("table altered", *_BEGINS, *_PASSING)
def test_a_table_is_altered(world, fault, moment, holder, record):
    _check(world, fault, moment, holder, record)


@at("table truncated", *_BEGINS, *_PASSING)
def test_a_table_is_truncated(world, fault, moment, holder, record):
    _check(world, fault, moment, holder, record)


@at("table added", *_BEGINS, *_PASSING)
def test_a_table_is_added(world, fault, moment, holder, record):
    _check(world, fault, moment, holder, record)


def test_the_changes_are_ones_that_the_server_takes(world):
    for statement in _CHANGES.values():
        with psycopg.connect(**world.cluster.conninfo(DATABASE)) as connection:
            connection.execute(statement)
            connection.rollback()
