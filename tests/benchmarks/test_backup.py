"""The back-up benchmarks at a small scale: their data, their rivals, and how they measure."""

import hashlib
import os
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

from benchmarks import backup_data, rivals
from benchmarks.backup import Ours, rows
from benchmarks.backup_ground import ground
from benchmarks.measuring import Cpu, Measured, Servers, measure, measure_apart, median_measured
from benchmarks.table import Row, print_table
from tdev_operators.core.backup.proof import scratch as scratch_module

_SCALE = 0.02
_MIB = 1024**2


@pytest.fixture(scope="module")
def on():
    with ground(scale=_SCALE) as made:
        yield made


def _digests(conninfo):
    with psycopg.connect(**conninfo) as connection:
        return {
            name: connection.execute(f"SELECT count(*), sum(hashtextextended(t::text, 0)) FROM {name} AS t").fetchone()
            for name in backup_data.TABLES
        }


def test_the_tables_are_twelve_and_the_same_in_every_run(cluster, on, database):
    backup_data.load_tables(lambda: cluster.connect(database["dbname"]), _SCALE)
    first = _digests(on.database)
    assert first == _digests(database)
    assert len(first) == 12
    assert sum(count for count, _ in first.values()) > 100_000


def test_the_objects_are_the_same_in_every_run_and_a_day_changes_one_percent():
    def digest(objects):
        return [(key, hashlib.md5(content).hexdigest()) for key, content in objects]

    assert digest(backup_data.small_objects(_SCALE)) == digest(backup_data.small_objects(_SCALE))
    small, large = dict(backup_data.small_objects(0.1)), dict(backup_data.large_objects(_SCALE))
    assert len(small) == 500
    assert all(1_000 <= len(content) <= 6_000 for content in small.values())
    assert all(2 * _MIB - 3 <= len(content) <= 2 * _MIB for content in large.values())
    changed = [(key, content) for is_small, key, content in backup_data.changed_objects(1, 0.1) if is_small]
    assert len(changed) == 5
    assert all(small[key] != content for key, content in changed)
    other = [(key, content) for is_small, key, content in backup_data.changed_objects(2, 0.1) if is_small]
    assert changed != other


@pytest.mark.faults
@pytest.mark.parametrize(
    ("rival", "key"),
    [
        ("the guide's script", None),
        ("pg_dump -Fc | aws s3 cp -", "rivals/gzip.dump"),
        ("pg_dump -Fc -Z0 | zstd -1 | aws s3 cp -", "rivals/zstd.dump"),
        ("pg_dump -Fd -j2 -Z0 to local disk", ""),
    ],
)
def test_a_rival_does_what_people_do(on, rival, key):
    on.empty(on.backups)
    done = rivals.RIVALS[rival](on)
    stored = {each["Key"]: each["Size"] for each in on.client().list_objects_v2(Bucket=on.backups).get("Contents", [])}
    if key == "":
        assert not stored
        assert done.peak_disk_bytes > 10 * _MIB
    else:
        [(name, size)] = stored.items()
        assert name == key or name.endswith(".tar.gz")
        assert size > _MIB
    assert done.cpu.client > 0
    assert done.cpu.server > 0
    assert not list(on.folder.iterdir())


@pytest.mark.faults
@pytest.mark.parametrize("tool", ["aws s3 sync", "rclone sync"])
def test_a_sync_copies_everything_once(on, tool):
    first, unchanged = (run for name, run in rivals.RIVALS.items() if name.startswith(tool))
    first(on)
    copied = _moments(on, f"rivals/{tool.split()[0]}/")
    assert len(copied) == 100 + 4
    unchanged(on)
    assert copied == _moments(on, f"rivals/{tool.split()[0]}/")


def _moments(on, prefix):
    pages = on.client().get_paginator("list_objects_v2").paginate(Bucket=on.backups, Prefix=prefix)
    return {each["Key"]: each["LastModified"] for page in pages for each in page["Contents"]}


def test_psql_restores_the_same(on, tmp_path):
    done = rivals.psql_restore(on, rivals.prepare_plain_dump(on, tmp_path))
    assert _digests({**on.scratch, "dbname": "restored"}) == _digests(on.database)
    assert done.cpu.server > 0


@pytest.mark.faults
def test_a_rival_that_fails_is_not_measured(on):
    with pytest.raises(RuntimeError, match="A rival failed"):
        rivals._measured(on, "pg_dump no_such_database | cat")


def _busy():
    ended = time.process_time() + 0.3
    block = bytearray(os.urandom(1024)) * (100 * 1024)
    spool = Path(tempfile.gettempdir(), "spool")
    spool.write_bytes(block[: 20 * _MIB])
    while time.process_time() < ended:
        pass
    time.sleep(0.5)
    spool.unlink()


def _dying():
    os._exit(3)


def _failing():
    raise ValueError("it cannot be done")


def _nothing(_on):
    pass


def test_what_a_task_takes_is_seen(tmp_path):
    done = measure_apart(_busy, Servers(None, None), tmp_path)
    assert 0.6 < done.seconds < done.process_seconds
    assert done.cpu.client >= 0.25
    assert 100 * _MIB < done.peak_memory_bytes < 250 * _MIB
    assert 20 * _MIB <= done.peak_disk_bytes < 25 * _MIB


def test_a_task_that_fails_or_dies_says_so(tmp_path):
    with pytest.raises(RuntimeError, match="it cannot be done"):
        measure_apart(_failing, Servers(None, None), tmp_path)
    with pytest.raises(RuntimeError, match="died"):
        measure_apart(_dying, Servers(None, None), tmp_path)


def test_the_servers_cpu_is_counted_also_of_sessions_that_ended(on, tmp_path):
    def work():
        with psycopg.connect(**on.database) as connection:
            connection.execute("SELECT count(*), sum(hashint8(i)) FROM generate_series(1, 2000000) AS i")

    done = measure(work, on.servers, tmp_path)
    assert done.cpu.server > 0.1
    assert done.cpu.client < 0.1


def test_the_median_is_a_whole_run():
    runs = [Measured(seconds, Cpu(seconds, 0, None), 0) for seconds in (3.0, 1.0, 2.0)]
    assert median_measured(runs) is runs[2]
    assert str(runs[0].cpu) == "3.0/0.0/-"


def test_a_broken_promise_shows(capsys):
    print_table([Row("work", 2.0, "other", 1.0, 5, at_most=1.5), Row("size", 1.0, "other", 2.0, 5, 0.5, unit="MB")])
    missed, kept = capsys.readouterr().out.splitlines()[-2:]
    assert "1.500 MISSED" in missed
    assert "MISSED" not in kept


@pytest.mark.faults  # a minute, and `make bench` shows the same
def test_the_whole_table():
    ours = Ours(*[_nothing] * 7)
    table = list(rows(ours, scale=0.002, runs=1, extremes=False))
    assert len([row for row in table if row.at_most and row.unit == "s"]) == 10
    assert len([row for row in table if row.unit == "MiB"]) == 6
    assert all(row.kept for row in table)


def test_psql_restores_into_the_server_that_a_proof_restores_into(on):
    with psycopg.connect(**on.scratch) as connection:
        shown = {name: connection.execute(f"SHOW {name}").fetchone()[0] for name in scratch_module._SETTINGS}
        assert connection.execute("SHOW data_checksums").fetchone() == ("off",)
    assert shown == {**scratch_module._SETTINGS, "timezone": "UTC"}
