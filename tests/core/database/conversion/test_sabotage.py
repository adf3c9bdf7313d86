"""Whoever breaks the following of changes, or the copy, is found out, and nothing is exchanged."""

import pytest

from tdev_operators.core.database.conversion import run as runs
from tdev_operators.core.errors import BusyError, InputError, ProofFailedError
from tdev_operators.core.verdicts import Verdict

NAMELESS = "UPDATE metrics SET value = -1 WHERE id = 5"
DISABLED = "ALTER TABLE metrics DISABLE TRIGGER tdev_note_changes"
ENABLED = "ALTER TABLE metrics ENABLE ALWAYS TRIGGER tdev_note_changes"


def rare(*words):
    return pytest.param(*words, marks=pytest.mark.faults)


def meddling(monkeypatch, step, *statements, world, before=False):
    real = getattr(runs._Work, step)

    def meddled(self, *args, **keywords):
        found = None if before else real(self, *args, **keywords)
        for statement in statements:
            world.sql.execute(statement)
        return real(self, *args, **keywords) if before else found

    monkeypatch.setattr(runs._Work, step, meddled)


def check_nothing_was_exchanged(world, rows):
    assert world.phase == "copying"
    assert world.one("SELECT relkind::text FROM pg_class WHERE oid = 'metrics'::regclass") == "r"
    assert world.rows() == rows
    assert "partition_switched" not in [line[0] for line in world.journal]


@pytest.mark.seeded
@pytest.mark.parametrize(
    ("step", "statements", "sentence"),
    [
        ("_copied", [DISABLED, NAMELESS, ENABLED], "The proof of public.metrics failed in 1 of 8 spans"),
        rare("_copied", [DISABLED, "DELETE FROM metrics WHERE id = 5", ENABLED], "rows here and .* there"),
        ("_copied", ["UPDATE metrics_partitioned SET value = 0 WHERE id = 6"], "with other content"),
        rare("_copied", ["DELETE FROM metrics_partitioned WHERE id = 6"], "The proof of public.metrics failed"),
        rare("_copied", [NAMELESS, "DELETE FROM metrics_tdev_changes"], "The proof of public.metrics failed"),
        ("_prove", [DISABLED, NAMELESS, ENABLED], "are not the ones of the beginning"),
        rare("_prove", [DISABLED, NAMELESS], "are disabled or gone"),
        ("_prove", ["DROP TRIGGER tdev_note_changes ON metrics"], "are disabled or gone"),
    ],
)
def test_found_out(metrics, monkeypatch, step, statements, sentence):
    meddling(monkeypatch, step, *statements, world=metrics)
    with pytest.raises(ProofFailedError, match=sentence):
        metrics.carry_out()
    monkeypatch.undo()
    rows = metrics.rows()
    check_nothing_was_exchanged(metrics, rows)
    assert metrics.carry_out("undo").verdict is Verdict.OK
    assert metrics.rows() == rows
    assert metrics.carry_out().verdict is Verdict.OK
    assert metrics.rows() == rows


def test_a_replica_role_is_followed_too(metrics, monkeypatch):
    meddling(monkeypatch, "_copied", "SET session_replication_role = replica", NAMELESS, world=metrics)
    assert metrics.carry_out().verdict is Verdict.OK
    assert metrics.count("value = -1") == 1


def test_a_table_that_is_altered_meanwhile_is_not_exchanged(metrics, monkeypatch):
    meddling(monkeypatch, "_prove", "ALTER TABLE metrics ALTER COLUMN value SET DEFAULT 7", world=metrics)
    with pytest.raises(InputError, match="were changed meanwhile"):
        metrics.carry_out()


def test_an_index_that_comes_meanwhile_is_made_by_the_next_run(metrics, monkeypatch):
    meddling(monkeypatch, "_prove", "CREATE INDEX later ON metrics (name)", world=metrics)
    with pytest.raises(BusyError, match=r"The index later of public\.metrics was made meanwhile"):
        metrics.carry_out()
    monkeypatch.undo()
    assert metrics.carry_out().verdict is Verdict.OK
    assert metrics.one("SELECT tablename::text FROM pg_indexes WHERE indexname = 'later'") == "metrics"


def test_the_way_back_is_proven_as_well(metrics):
    metrics.carry_out()
    metrics.sql.execute("UPDATE metrics_before_partitions SET value = 0 WHERE id = 3")
    with pytest.raises(ProofFailedError, match="Compare the two by hand"):
        metrics.carry_out("undo")
    assert metrics.phase == "switched"


def test_a_key_that_is_there_twice_by_now_has_no_way_back(metrics):
    metrics.carry_out()
    metrics.sql.execute(
        "INSERT INTO metrics (id, name, value, importance) OVERRIDING SYSTEM VALUE VALUES (4, 'twice', 1, 'low')"
    )
    with pytest.raises(InputError, match="duplicate key value"):
        metrics.carry_out("undo")
    assert metrics.phase == "switched"
    metrics.sql.execute("DELETE FROM metrics WHERE name = 'twice'")
    assert metrics.carry_out("undo").verdict is Verdict.OK


def test_somebody_elses_tables_under_our_names_are_left_alone(metrics):
    metrics.carry_out()
    metrics.sql.execute("ALTER TABLE metrics_before_partitions RENAME TO x; CREATE TABLE metrics_before_partitions ()")
    for action in ("convert", "undo", "drop"):
        with pytest.raises(InputError, match="are other tables than when"):
            metrics.carry_out(action)
