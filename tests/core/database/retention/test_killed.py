"""kill -9 of a real process at every phase: the next try ends the work, nothing is lost, nothing is done twice."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import psycopg
import pytest

from tdev_operators.core.errors import BusyError
from tdev_operators.core.verdicts import Verdict
from tests.core.database.retention.conftest import World
from tests.core.database.retention.test_partitions import by_importance  # noqa: F401  a fixture
from tests.records import facts_of

REPOSITORY = Path(__file__).resolve().parents[4]
PACE = {"batch_rows": 200}

MOMENTS = [
    pytest.param("1 after put plan.json", marks=pytest.mark.faults),
    pytest.param("1 before -- rows to archive", marks=pytest.mark.faults),
    pytest.param("1 after upload", marks=pytest.mark.faults),
    pytest.param("1 after -- one row: rows of an archive, read back", marks=pytest.mark.faults),
    "1 after put part-00001.parquet.json",
    pytest.param("1 after put archive.json", marks=pytest.mark.faults),
    pytest.param("1 before put progress.json", marks=pytest.mark.faults),
    "1 after put progress.json",
    "1 after -- archived rows go",
    pytest.param("2 after -- what is discarded of a stretch goes", marks=pytest.mark.faults),
    pytest.param("3 after put progress.json", marks=pytest.mark.faults),
    "3 before -- what is discarded of a stretch goes",
    "3 after -- what is discarded of a stretch goes",
    pytest.param("4 before -- one row: how far a stretch came", marks=pytest.mark.faults),
    "1 before put receipt.json",
    pytest.param("1 after put receipt.json", marks=pytest.mark.faults),
]
PARTITION_MOMENTS = [
    pytest.param("1 before DETACH PARTITION", marks=pytest.mark.faults),
    "1 after DETACH PARTITION",
    pytest.param("3 before DROP TABLE", marks=pytest.mark.faults),
    "3 after DROP TABLE",
]


def kill(world, database, s3_server, tmp_path, moment, more=None):
    """Run it in a process that dies at the moment; return how it ended."""
    with begun(world, database, s3_server, tmp_path, moment, more) as process:
        _, said = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, "", said)


def begun(world, database, s3_server, tmp_path, moment, more=None):
    """Begin it in a process of its own."""
    job = {
        "facts": asdict(facts_of(database)),
        "store": [s3_server.endpoint_url, s3_server.access_key, s3_server.secret_key],
        "bucket": world.bucket,
        "run_id": world.run_id,
        "moment": moment,
        "more": more or {},
    }
    (tmp_path / "job.json").write_text(json.dumps(job), encoding="utf-8")
    argv = [sys.executable, "-m", "tests.core.database.retention.killed", str(tmp_path / "job.json")]
    return subprocess.Popen(argv, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def retry(world):
    """Try again, as Airflow does, until the dead process's session is gone."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return world.clean()
        except BusyError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def check(world: World, before: dict[str, str]):
    counts, left = world.counts, world.rows()
    assert (counts["archived"], counts["discarded"]) == (30, 810), "every row is on the receipt, and once"
    assert world.receipt["balanced"]
    assert world.receipt["unsure"] == []
    assert left.items() <= before.items()
    assert len(left) == 360
    world.give_back()
    back = world.rows("metrics_given_back")
    assert len(back) == 30
    assert back.items() <= before.items(), "what was archived came back as it was"


@pytest.mark.seeded
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_the_next_try_ends_it(metrics, database, s3_server, tmp_path, moment):
    before = metrics.rows()
    done = kill(metrics, database, s3_server, tmp_path, moment, {"pace": PACE})
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    again = metrics.with_(pace=PACE)
    assert retry(again)["retention.metrics"].verdict is Verdict.OK
    check(again, before)


@pytest.mark.parametrize("locked", [500, pytest.param(1000, marks=pytest.mark.faults)])
def test_killed_in_the_middle_of_a_stretch_what_was_committed_is_counted(
    metrics, database, s3_server, tmp_path, locked
):
    """Somebody holds a row that the stretch comes to; while it waits for him, its process dies."""
    before = metrics.rows()
    more = {"pace": {"batch_rows": 10_000, "transaction_ms": 0.2}, "changes": {"lock_timeout_ms": 60_000}}
    with psycopg.connect(**database) as sleeper:
        sleeper.execute("SELECT 1 FROM metrics WHERE id = %s FOR UPDATE", (locked,))
        with begun(metrics, database, s3_server, tmp_path, "1 before no such statement", more) as process:
            deadline = time.monotonic() + 60
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            while metrics.sql.execute(waiting).fetchone() == (0,):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            gone = 1200 - metrics.count()
            process.kill()
        while metrics.sql.execute(waiting).fetchone() != (0,):  # the server looks after its client every 5 s
            assert time.monotonic() < deadline
            time.sleep(0.05)
    again = metrics.with_(pace=PACE)
    assert retry(again)["retention.metrics"].verdict is Verdict.OK
    check(again, before)
    [remark] = [line for line in again.receipt["remarks"] if "a try was cut off" in line]
    counted = int(remark.split(": ")[1].split()[0])
    assert counted == gone - 30, "the archived ones were on the receipt before"
    assert 0 < counted < 810


@pytest.mark.seeded
@pytest.mark.parametrize("moment", PARTITION_MOMENTS)
def test_killed_around_a_partition(by_importance, database, s3_server, tmp_path, moment):  # noqa: F811  the fixture
    before = by_importance.rows()
    done = kill(by_importance, database, s3_server, tmp_path, moment)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    assert retry(by_importance)["retention.metrics"].verdict is Verdict.OK
    check(by_importance, before)
    assert by_importance.count(table="pg_inherits", where="inhdetachpending") == 0


@pytest.mark.faults
def test_killed_again_and_again_it_ends_all_the_same(metrics, database, s3_server, tmp_path):
    before = metrics.rows()
    for moment in (
        "1 after put archive.json",
        "1 after -- archived rows go",
        "1 before -- what is discarded of a stretch goes",
        "1 after put progress.json",
        "2 after -- what is discarded of a stretch goes",
    ):
        deadline = time.monotonic() + 30
        while kill(metrics, database, s3_server, tmp_path, moment, {"pace": PACE}).returncode != -signal.SIGKILL:
            assert time.monotonic() < deadline
    again = metrics.with_(pace=PACE)
    assert retry(again)["retention.metrics"].verdict is Verdict.OK
    check(again, before)
