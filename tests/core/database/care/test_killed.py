"""kill -9 in the middle of Thursday's care: the retry finishes it, and nothing is left."""

import json
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import psycopg
import pytest

from tests.conftest import REPOSITORY
from tests.core.database.care.figures import FIGURES
from tests.core.database.care.test_run import care
from tests.seeded import drawn

CASES = [
    ("tables need care", 0.0, False),
    ("1 of 2:", 0.0, False),
    ("rebuilding", 0.0, False),
    ("rebuilding", 0.05, False),
    ("rebuilding", 1.5, True),
    ("t_thin: ", 0.0, False),
]


@pytest.mark.parametrize(("words", "seconds", "waits"), drawn("care killed", CASES))
def test_a_killed_run_is_finished_by_its_retry(
    world, modern, modern_database, database, thin, words, seconds, waits, record
):
    modern.execute("DELETE FROM t WHERE n % 20 = 0; CREATE TABLE u AS SELECT i FROM generate_series(1, 9000) AS i")
    modern.execute("DELETE FROM u; ALTER TABLE u OWNER TO app; SELECT pg_stat_force_next_flush()")
    figures = {**FIGURES, "indexes": {**FIGURES["indexes"], "old_transaction_minutes": 60.0, "lock_wait_minutes": 5.0}}
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "FIGURES": json.dumps({"care": figures}),
        "DATABASE": json.dumps({**modern_database, "user": "app_dba", "password": "dba"}),
        "LEDGER": json.dumps(database),
    }
    with psycopg.connect(**modern_database) if waits else nullcontext() as other:
        if other:
            other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            other.execute("SELECT count(*) FROM pg_class")
        argv = [sys.executable, str(Path(__file__).with_name("killed.py")), words, str(seconds)]
        ended = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        _until_nobody_is_left(modern)
        if waits:
            assert _invalid(modern) == ["t_thin_ccnew"], "the server gave up for its client"
    found = care(world)
    assert {name for name, one in found.items() if one.verdict != "OK"} == set(), found
    assert _invalid(modern) == []
    size = modern.execute("SELECT pg_relation_size('t_thin')").fetchone()[0]
    assert size < 400_000
    assert modern.execute("SELECT sum(n_dead_tup) FROM pg_stat_user_tables").fetchone() == (0,)
    beside = " beside an idle transaction" if waits else ""
    record("care: kill -9", f"{seconds:g} s after it said «{words}»{beside}", "its retry finished it, nothing is left")


def _until_nobody_is_left(sql):
    for _ in range(300):
        ours = sql.execute("SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'tdev-maintenance%'").fetchall()
        if not ours:
            return
        sql.execute("SELECT pg_sleep(0.1)")
    raise AssertionError("a session of the dead worker is still there")


def _invalid(sql):
    return [row[0] for row in sql.execute("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid")]
