"""Nothing is lost and nothing comes back while others write, at any isolation level, through all of it."""

import time

import psycopg
import pytest

from tdev_operators.core.database.conversion import run as runs
from tdev_operators.core.database.conversion.following import Follower
from tdev_operators.core.verdicts import Verdict
from tests.core.database.conversion.writers import Writers


def check(world, quiet, writers):
    assert writers.errors == []
    found = world.rows()
    assert {int(key): text for key, text in found.items() if key not in quiet} == writers.expected
    assert {key: text for key, text in found.items() if key in quiet} == quiet


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.faults) for seed in range(2, 12))])
def test_every_row_is_what_its_writer_committed_through_conversion_and_undo(metrics, database, seed):
    quiet = metrics.rows()
    gentle = metrics.with_(changes={"tries": 20, "lock_timeout_ms": 500}, pace={"batch_rows": 200})
    with Writers(database, seed=seed) as writers:
        time.sleep(0.3)
        for action in ("convert", "undo") if seed == 1 else ("convert", "undo", "convert"):
            result = gentle.carry_out(action)
            assert result.verdict is Verdict.OK, result.summary
            time.sleep(0.2)
    assert writers.commits > 50
    check(metrics, quiet, writers)
    if seed != 1:
        assert gentle.carry_out("undo").verdict is Verdict.OK
        check(metrics, quiet, writers)


def test_a_row_that_changes_while_it_is_copied_is_what_its_writer_made_of_it(metrics, elsewhere):
    """The copy is made from an older snapshot than the change: the note of the change puts it right."""
    writer = elsewhere()
    writer.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    real = runs._Work._copied

    def copied(self, follower, plan, mark):
        writer.execute("UPDATE metrics SET importance = 'high', value = -1 WHERE id = 7")
        writer.execute("UPDATE metrics SET id = DEFAULT, value = -2 WHERE id = 8")
        writer.execute("DELETE FROM metrics WHERE id = 9")
        writer.execute("UPDATE metrics SET timestamp = timestamp - interval '50 days' WHERE id BETWEEN 1000 AND 1003")
        done = real(self, follower, plan, mark)
        writer.execute("COMMIT")
        return done

    runs._Work._copied = copied
    try:
        assert metrics.carry_out().verdict is Verdict.OK
    finally:
        runs._Work._copied = real
    assert metrics.count("value = -1 AND importance = 'high' AND id = 7") == 1
    assert metrics.count("id IN (8, 9)") == 0
    assert metrics.count("value = -2") == 1
    assert metrics.count() == 1199
    old = metrics.rows("metrics_before_partitions")
    assert metrics.rows() == old


def test_a_transaction_with_an_old_snapshot_is_told_to_try_again(metrics, elsewhere, monkeypatch):
    """It would see the table as it was some moments before the exchange, and change rows that it cannot see."""
    early, real = elsewhere(), runs._Work._prove

    def prove(self, follower, **how):
        early.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        early.execute("SELECT 1")
        return real(self, follower, **how)

    monkeypatch.setattr(runs._Work, "_prove", prove)
    assert metrics.carry_out().verdict is Verdict.OK
    with pytest.raises(psycopg.errors.SerializationFailure, match="the table was exchanged meanwhile"):
        early.execute("UPDATE metrics SET value = 0 WHERE id = 1")
    early.execute("ROLLBACK")
    early.execute("UPDATE metrics SET value = 0 WHERE id = 1")
    assert metrics.count("value = 0 AND id = 1") == 1


def test_all_rows_go_meanwhile(metrics):
    """TRUNCATE is followed like everything else, before the exchange and after it."""
    real = runs._Work._index

    def index(self, plan, mark):
        real(self, plan, mark)
        metrics.sql.execute("TRUNCATE metrics")
        metrics.sql.execute("INSERT INTO metrics (name, value, importance) VALUES ('later', 1, 'low')")

    runs._Work._index = index
    try:
        assert metrics.carry_out().verdict is Verdict.OK
    finally:
        runs._Work._index = real
    assert metrics.count() == 1
    metrics.sql.execute("TRUNCATE metrics")
    metrics.sql.execute("INSERT INTO metrics (name, value, importance) VALUES ('last', 2, 'high')")
    assert metrics.carry_out("undo").verdict is Verdict.OK
    assert metrics.one("SELECT string_agg(name, ',') FROM metrics") == "last"


def test_the_copy_ends_while_others_keep_adding_rows(metrics):
    """Rows that come behind the last range are noted; copying them as well would never end on a busy table."""
    real = Follower.copy
    copies = []

    def copy(self, after, size_of_key):
        copies.append(after)
        assert len(copies) < 30
        found = real(self, after, size_of_key)
        metrics.sql.execute(
            "INSERT INTO metrics (name, value, importance) SELECT 'more', n, 'low' FROM generate_series(1, 9) n"
        )
        return found

    Follower.copy = copy
    try:
        assert metrics.with_(pace={"batch_rows": 100}).carry_out().verdict is Verdict.OK
    finally:
        Follower.copy = real
    assert metrics.count() == 1200 + 9 * len(copies)
