"""What must hold after every fault."""

import hashlib
import time

from tdev_operators.core.backup.manifest import State, digest_of
from tdev_operators.core.backup.set_records import files_of
from tests.faults.source import AGENTS, BACKUPS, CHECKPOINTS, LEDGER
from tests.faults.world import Run, World

# What a killed task leaves on the server ends when the server notices; it looks every five seconds.
_SETTLE_SECONDS = 12.0
_PROOF = ("backup.tonight", "backup.readable", "backup.proven", "backup.verifier")


def harmless(world: World, ended: Run, *, holder: str, full: bool = False, scratch: str = "") -> str:
    """Assert that a fault did no harm: then, after the same holder's retry, and after its proof. Say how it ended."""
    world.s3.faults.disarm_all()
    world.postgres.faults.disarm_all()
    complete = _called_no_better_than_it_is(world)
    _earlier_set_intact(world)
    if ended.status is not None and ended.status >= 0:  # it ended by itself: nobody else has to tidy up after it
        _nothing_left(world, ended, lease=False, uploads=False)
    if ended.status == 0 and ended.result.get("proven"):
        last = ended
    elif ended.status == 0:
        last = world.start("verify", holder=holder, scratch=scratch).wait()
    else:
        if complete:  # its manifest stands, though the task did not live to say so
            early = world.start("verify", holder=holder, scratch=scratch).wait()
            assert early.result.get("proven"), f"{complete} is called COMPLETE and cannot be proven:\n{early.log}"
        last = world.start("take", "verify", holder=holder, full=full, scratch=scratch).wait()
    assert last.status == 0, last.log
    assert last.result["proven"], last.log
    assert {name: last.result["verdicts"][name][0] for name in _PROOF} == dict.fromkeys(_PROOF, "OK"), last.log
    newest = world.repository.newest(State.PROVEN)
    assert newest is not None
    assert newest.set_id == last.result["verified"] != world.baseline
    _earlier_set_intact(world)
    _nothing_left(world, last)
    world.forget_workers()
    return _outcome(ended)


def _called_no_better_than_it_is(world: World) -> str:
    """Every set is STAGED, or has everything that its manifest names; return the newest one that has a manifest."""
    complete = ""
    for one in world.repository.sets():
        if one.set_id == world.baseline or not one.has_manifest:
            continue
        assert one.manifest is not None, one.remarks
        stored = world.digests_of(one.set_id)
        for file in files_of(one.manifest):
            assert stored.get(file.key) == file.sha256, f"{one.set_id} lacks {file.key}"
        for snapshot in one.manifest.buckets:
            copies = sum(key.startswith(f"buckets/{snapshot.name}/copies/") for key in stored)
            assert copies >= snapshot.copies, f"{one.set_id} lacks copies of {snapshot.name}"
        complete = complete or one.set_id
    return complete


def _earlier_set_intact(world: World) -> None:
    one = world.repository.get(world.baseline)
    assert one.state is State.PROVEN, one.remarks
    now = world.digests_of(world.baseline)
    # Attestations are written anew when the same set is verified again.
    changed = {name for name in world.digests | now if world.digests.get(name) != now.get(name)}
    assert not changed - {"readable.json", "proven.json"}, changed
    manifest = b"".join(world.direct_store.read(BACKUPS, world.repository.folder(world.baseline) + "manifest.json"))
    assert digest_of(manifest) == one.manifest_sha256 == hashlib.sha256(manifest).hexdigest()


def _nothing_left(world: World, ended: Run, *, lease: bool = True, uploads: bool = True) -> None:
    deadline = time.monotonic() + _SETTLE_SECONDS
    while left := [*ended.left, *leftovers(world, lease=lease, uploads=uploads)]:
        assert time.monotonic() < deadline, f"{left} was left:\n{ended.log}"
        time.sleep(0.05)


def leftovers(world: World, *, lease: bool = True, uploads: bool = True) -> list[str]:
    """Name what a back-up left behind: everywhere."""
    left = [f"temporary {each.name}" for each in world.tmpdir.iterdir()]
    left += world.processes_left()
    with world.cluster.connect(LEDGER) as connection:
        sessions = connection.execute(
            "SELECT application_name, state FROM pg_stat_activity"
            " WHERE application_name LIKE 'tdev%' OR application_name LIKE 'pg_dump%'"
        ).fetchall()
        left += [f"session of {name}, {state}" for name, state in sessions]
        left += [f"slot {row[0]}" for row in connection.execute("SELECT slot_name FROM pg_replication_slots")]
        left += [f"snapshot {row[0]}" for row in connection.execute("SELECT pg_ls_dir('pg_snapshots')")]
        left += [f"prepared {row[0]}" for row in connection.execute("SELECT gid FROM pg_prepared_xacts")]
        if lease:
            left += [f"lease {row[0]}" for row in connection.execute("SELECT name FROM maintenance.leases")]
    with world.scratch.connect() as connection:
        names = connection.execute("SELECT datname FROM pg_database WHERE datname NOT IN ('postgres')").fetchall()
        left += [f"scratch database {name}" for (name,) in names if not name.startswith("template")]
    if uploads:
        for bucket in (BACKUPS, AGENTS, CHECKPOINTS):
            left += [f"upload of {each.key}" for each in world.direct_store.open_uploads(bucket, "")]
    return left


def _outcome(ended: Run) -> str:
    if ended.status == 0:
        return "went on, PROVEN"
    if ended.status is None or ended.status < 0:
        return "killed; retry PROVEN"
    return f"{ended.result['error'].partition(':')[0]}; retry PROVEN"
