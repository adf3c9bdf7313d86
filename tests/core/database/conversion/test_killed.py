"""kill -9 of a real process at every phase: the next run ends the work, or clears it away; no row is lost."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from tdev_operators.core.errors import BusyError
from tdev_operators.core.verdicts import Verdict
from tests.records import facts_of

REPOSITORY = Path(__file__).resolve().parents[4]


def rare(*words):
    return pytest.param(*words, marks=pytest.mark.faults)


FORWARD = [
    rare("1 after -- the partitioned table"),
    rare("1 before -- how far it is"),
    rare("1 after -- how far it is"),
    rare("1 after -- changes are noted from now on"),
    rare("2 after -- how far it is"),
    rare("1 after -- a range of rows is copied"),
    rare("2 after put conversion.json"),
    rare("2 before put conversion.json"),
    "3 after -- an index",
    rare("2 after ANALYZE"),
    rare("1 after -- a row: how many rows of a value and a span"),
    rare("1 after -- nobody reads or writes"),
    "3 after -- another name",
    rare("3 after -- how far it is"),
    rare("1 before put conversion-receipt.json"),
    rare("1 after put conversion-receipt.json"),
]
BACK = [
    rare("1 after -- rows that were changed go"),
    rare("1 after -- rows that were changed come"),
    rare("1 after -- notes that were seen to"),
    rare("2 after -- another name"),
    "1 after -- how far it is",
    rare("1 before -- a table goes"),
    rare("1 after -- a table goes"),
    rare("1 before put conversion-receipt.json"),
]
END = [rare("1 after -- changes are noted no more"), "1 after -- a table goes", rare("1 after -- the notes go")]


def kill(world, database, s3_server, tmp_path, moment, action="convert"):
    job = {
        "facts": asdict(facts_of(database)),
        "store": [s3_server.endpoint_url, s3_server.access_key, s3_server.secret_key],
        "bucket": world.bucket,
        "moment": moment,
        "action": action,
    }
    (tmp_path / "job.json").write_text(json.dumps(job), encoding="utf-8")
    argv = [sys.executable, "-m", "tests.core.database.conversion.killed", str(tmp_path / "job.json")]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]


def retry(world, action="convert"):
    """Try again, as Airflow does, until the dead process's session is gone."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return world.carry_out(action)
        except BusyError:
            assert time.monotonic() < deadline


def change(world):
    """Somebody goes on writing while nobody works on the conversion."""
    world.sql.execute("UPDATE metrics SET importance = 'high', value = -id WHERE id % 7 = 0")
    world.sql.execute("DELETE FROM metrics WHERE id % 11 = 0")
    world.sql.execute(
        "INSERT INTO metrics (name, value, importance) SELECT 'later', n, 'low' FROM generate_series(1, 9) n"
    )


@pytest.mark.seeded
@pytest.mark.parametrize("moment", FORWARD)
def test_killed_on_the_way_the_next_run_goes_on(metrics, database, s3_server, tmp_path, moment):
    kill(metrics, database, s3_server, tmp_path, moment)
    change(metrics)
    rows = metrics.rows()
    assert retry(metrics).verdict is Verdict.OK
    assert metrics.phase == "switched"
    assert metrics.rows() == rows


@pytest.mark.parametrize(
    "moment", ["2 after put conversion.json", *(rare(one.values[0]) for one in FORWARD if not isinstance(one, str))]
)
def test_killed_on_the_way_and_given_up_nothing_is_left(metrics, database, s3_server, tmp_path, moment):
    before = metrics.catalogue()
    kill(metrics, database, s3_server, tmp_path, moment)
    change(metrics)
    rows = metrics.rows()
    deadline = time.monotonic() + 30
    while metrics.phase != "none":
        try:
            metrics.carry_out("undo")
        except BusyError:
            assert time.monotonic() < deadline
    assert metrics.catalogue() == before
    assert metrics.rows() == rows


@pytest.mark.parametrize("moment", BACK)
def test_killed_on_the_way_back(metrics, database, s3_server, tmp_path, moment):
    before = metrics.catalogue()
    metrics.carry_out()
    change(metrics)
    rows = metrics.rows()
    kill(metrics, database, s3_server, tmp_path, moment, "undo")
    metrics.sql.execute("UPDATE metrics SET value = 0 WHERE id = 2")
    rows["2"] = metrics.rows()["2"]
    deadline = time.monotonic() + 30
    while metrics.phase != "none":
        try:
            metrics.carry_out("undo")
        except BusyError:
            assert time.monotonic() < deadline
    assert metrics.rows() == rows
    assert metrics.catalogue() == before


@pytest.mark.faults
@pytest.mark.parametrize("moment", ["1 after -- how far it is", "1 before -- a table goes"])
def test_killed_on_the_way_back_and_then_converted_again(metrics, database, s3_server, tmp_path, moment):
    metrics.carry_out()
    change(metrics)
    rows = metrics.rows()
    kill(metrics, database, s3_server, tmp_path, moment, "undo")
    assert retry(metrics).verdict is Verdict.OK
    assert metrics.phase == "switched"
    assert metrics.rows() == rows


@pytest.mark.parametrize("moment", END)
def test_killed_while_the_former_table_is_dropped(metrics, database, s3_server, tmp_path, moment):
    metrics.carry_out()
    rows = metrics.rows()
    metrics.sql.execute("COMMENT ON TABLE metrics_tdev_changes IS " + aged(metrics))
    kill(metrics, database, s3_server, tmp_path, moment, "drop")
    if metrics.phase != "none":
        assert retry(metrics, "drop").verdict is Verdict.OK
    assert metrics.one("SELECT count(*) FROM pg_class WHERE relname ~ '(before_partitions|tdev_changes)'") == 0
    assert metrics.rows() == rows


def aged(world):
    """Return the remark as if the exchange had been weeks ago."""
    text = world.one("SELECT obj_description('metrics_tdev_changes'::regclass)")
    return "'" + text.replace("2026-11-29T03", "2026-10-29T03").replace("'", "''") + "'"
