"""The judge is judged: each thing that may not be left or be changed is left, and is seen."""

import os
import subprocess

import pytest

from tests.faults.harm import _called_no_better_than_it_is, _earlier_set_intact, leftovers
from tests.faults.source import BACKUPS, LEDGER


def test_what_is_left_is_seen(world):
    assert leftovers(world) == []
    key = f"{world.repository.root}x/left"
    client = world.store.client()
    upload = client.create_multipart_upload(Bucket=BACKUPS, Key=key)["UploadId"]
    folder = world.tmpdir / "tdev-dump-left"
    folder.mkdir()
    sleeper = subprocess.Popen(["sleep", "30"], cwd=folder)
    try:
        with world.cluster.connect(LEDGER) as connection, connection.transaction():
            connection.execute("SET application_name = 'tdev-backup'")
            connection.execute("SELECT pg_export_snapshot()")
            with world.cluster.connect(LEDGER) as other:
                other.execute(
                    "INSERT INTO maintenance.leases VALUES ('backup:x', gen_random_uuid(), 'x', now(), now())"
                )
            left = " ".join(leftovers(world))
    finally:
        sleeper.kill()
        sleeper.wait()
        folder.rmdir()
        client.abort_multipart_upload(Bucket=BACKUPS, Key=key, UploadId=upload)
        with world.cluster.connect(LEDGER) as connection:
            connection.execute("DELETE FROM maintenance.leases")
    for word in ("temporary tdev-dump-left", "(sleep)", "session of tdev-backup", "snapshot 0", "lease backup:x"):
        assert word in left
    assert f"upload of {key}" in left
    assert leftovers(world) == []


def test_a_changed_byte_of_the_earlier_set_is_seen(world):
    folder = world.store.folder / BACKUPS / world.repository.folder(world.baseline)
    victim = next(iter(folder.glob("database/*/toc.dat")))
    content = victim.read_bytes()
    victim.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(AssertionError, match=r"toc\.dat"):
        _earlier_set_intact(world)
    victim.write_bytes(content)
    _earlier_set_intact(world)


def test_a_manifest_without_its_files_is_seen(world, holder):
    run = world.start("take", holder=holder).wait()
    assert run.status == 0, run.log
    assert _called_no_better_than_it_is(world) == run.result["set_id"]
    prefix = world.repository.folder(run.result["set_id"])
    [key, *_] = [each.key for each in world.direct_store.list(BACKUPS, prefix) if "/packs/" in each.key]
    world.direct_store.delete(BACKUPS, [key])
    with pytest.raises(AssertionError, match="lacks"):
        _called_no_better_than_it_is(world)


def test_a_worker_says_how_its_task_ended(world, holder):
    run = world.start("take", holder=holder)
    run.kill_task()
    assert run.wait().status == -9
    os.kill(world.cluster.supervisor.watchdog_pid, 0)
