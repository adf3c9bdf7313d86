"""Snapshots of a bucket on a real S3 server: what is stored, what is referred to, what comes back."""

import hashlib

import pyrage
import pytest

from tdev_operators.core.backup.buckets.index import read_index
from tdev_operators.core.backup.buckets.read import read_object
from tdev_operators.core.backup.cipher import Age, Plain
from tdev_operators.core.errors import AccessDeniedError, InputError
from tdev_operators.core.verdicts import Verdict
from tests.core.backup.buckets.worlds import KIB, World, settings, some_objects

EVERYTHING = some_objects()


def test_a_first_set_packs_what_is_small_and_has_the_store_copy_what_is_large(world):
    world.put(EVERYTHING)
    report = world.take()
    assert (report.objects, report.packed, report.packs, report.copied, report.unchanged) == (43, 40, 1, 3, 0)
    assert report.bytes == sum(map(len, EVERYTHING.values()))
    # Small ones are read once each, large ones never.
    assert (report.requests["GET"], report.requests["COPY"]) == (40, 3)
    assert (report.verdict, report.findings, report.notes) == (Verdict.OK, (), ())
    assert world.contents() == EVERYTHING
    assert [entry.key for entry in world.entries()] == sorted(EVERYTHING)
    assert world.verify() == {"copies": 3, "copied_bytes": 60 * KIB, "copies_without_checksum": 0}
    proof = world.sample()
    assert (proof.differences, proof.figures) == ((), {"sampled_objects": 43, "sampled_bytes": report.bytes})
    assert not [key for key in world.stored() if "/scratch/" in key]
    snapshot = world.snapshot
    assert (snapshot.objects, snapshot.copies, snapshot.copied_bytes) == (43, 3, 60 * KIB)
    assert (snapshot.referenced_sets, snapshot.changed_during_run) == ((), 0)
    folder = world.place.folder_of(world.newest.set_id) + "buckets/agents/"
    files = [snapshot.index, *snapshot.packs]
    assert len(world.stored()) == len(files) + 3
    for file in files:
        body = world.bytes_at(world.place.folder_of(world.newest.set_id) + file.key)
        assert (len(body), hashlib.sha256(body).hexdigest()) == (file.size_bytes, file.sha256)
    assert all(key.startswith(folder) for key in world.stored())


def test_an_unchanged_bucket_costs_its_listing_the_index_and_the_rotations_sample(world):
    world.put(EVERYTHING)
    world.take()
    stored = world.stored()
    report = world.take()
    assert (report.unchanged, report.packed, report.copied, report.deleted) == (43, 0, 0, 0)
    # Of 43 objects one in thirty is due a day: two. One is in the pack, or both are.
    assert report.resampled == 2
    assert report.requests.keys() <= {"LIST", "GET", "HEAD", "PUT"}
    # The index twice (to plan the rotation, and beside the listing), its sample in the set and live.
    assert report.requests["GET"] <= 2 + 2 * 4
    # The index, seen by its effect; the source's listing and whether a dead attempt left anything.
    assert report.requests["PUT"] == 1
    assert report.requests["LIST"] == 2
    assert set(world.stored()) - set(stored) == {world.place.folder_of(world.newest.set_id) + world.snapshot.index.key}
    assert world.snapshot.referenced_sets == (world.manifests[0].set_id,)
    assert (world.snapshot.packs, world.snapshot.copies) == ((), 0)
    assert world.contents() == EVERYTHING
    assert world.verify()["copies"] == 0
    assert world.sample().differences == ()


def test_what_changed_is_stored_and_the_rest_referred_to(world):
    world.put(EVERYTHING)
    world.take()
    changed = {"src/0007.py": b"print('new')\n", "weights/1.bin": bytes(21 * KIB), "src/0007b.py": b"another"}
    world.put(changed)
    report = world.take()
    assert (report.unchanged, report.packed, report.copied) == (41, 2, 1)
    assert (report.deleted, report.changed, report.vanished) == (0, 0, 0)
    assert world.contents() == {**EVERYTHING, **changed}
    own = {entry.key for entry in world.entries() if entry.set_id == world.newest.set_id}
    assert own == set(changed)
    assert world.sample().differences == ()


def test_references_reach_over_several_sets_and_come_to_the_set_that_wrote_the_bytes(world):
    for n in range(4):
        world.put({f"day/{n}": f"of day {n}".encode()})
        world.take()
    assert [entry.set_id for entry in world.entries()] == [made.set_id for made in world.manifests]
    assert world.snapshot.referenced_sets == tuple(made.set_id for made in world.manifests[:-1])
    assert world.contents() == {f"day/{n}": f"of day {n}".encode() for n in range(4)}


def test_a_full_set_refers_to_nothing(world):
    world.put(EVERYTHING)
    world.take()
    report = world.take(full=True)
    assert (report.unchanged, report.packed, report.copied, report.resampled) == (0, 40, 3, 0)
    assert world.snapshot.referenced_sets == ()
    assert {entry.set_id for entry in world.entries()} == {world.newest.set_id}
    world.real.delete(world.target, [key for key in world.stored() if world.newest.set_id not in key])
    assert world.contents() == EVERYTHING


def test_deleted_objects_leave_the_next_set_and_stay_in_the_earlier_one(world):
    world.put(EVERYTHING)
    world.take()
    world.real.delete(world.source, ["src/0000.py", "src/0039.py", "weights/2.bin"])
    report = world.take()
    assert (report.objects, report.deleted, report.verdict) == (40, 3, Verdict.OK)
    assert "3 deleted since the last set" in report.result().summary
    assert world.contents() == world.live()
    assert len(world.entries(0)) == 43


def test_more_than_half_deleted_is_a_warning_and_so_is_an_empty_bucket(world):
    world.put(EVERYTHING)
    world.take()
    world.real.delete(world.source, [key for key in EVERYTHING if key.startswith("src/")])
    report = world.take()
    assert report.verdict is Verdict.WARNING
    assert "has lost 40 objects and held 43" in report.findings[0].summary
    world.real.delete(world.source, [key for key in EVERYTHING if key.startswith("weights/")])
    report = world.take()
    assert report.verdict is Verdict.WARNING
    assert f"{world.source} is empty and held 3 objects" in report.result().summary
    assert world.take().verdict is Verdict.OK  # it was said once


def test_an_empty_bucket_has_an_empty_index(world):
    report = world.take()
    assert (report.objects, report.bytes, report.packs, report.verdict) == (0, 0, 0, Verdict.OK)
    assert (world.entries(), world.snapshot.packs) == ([], ())
    assert world.verify()["copies"] == 0
    assert world.sample().figures == {"sampled_objects": 0, "sampled_bytes": 0}


def test_objects_without_a_byte(world, tmp_path):
    contents = {"package/__init__.py": b"", "package/other.py": b"", "z": b"z"}
    world.put(contents)
    world.take()
    assert world.contents() == contents
    assert world.extracted(tmp_path) == contents
    assert world.sample().differences == ()
    assert world.take().unchanged == 3


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_tar_gives_the_objects_back_without_us(world, tmp_path, locale):
    contents = {
        **some_objects(large=0),
        "with blank.py": b"1",
        "ünï/cödé.py": b"2",
        "cafe\u0301/日本/😀.py": b"3",
        "back\\slash.py": b"5",
        "-rf": b"6",
        "long/" + "/".join(["n" * 200] * 4): b"7",
        "Case": b"8",
        "case": b"9",
    }
    world.put(contents)
    world.take()
    assert world.contents() == contents
    assert world.extracted(tmp_path, LC_ALL=locale) == contents


@pytest.mark.faults
def test_packs_are_closed_at_their_limit_and_several_of_them_come_back(world, tmp_path):
    contents = {f"{n:04d}": bytes([n % 256]) * (7 * KIB) for n in range(400)}
    world.put(contents)
    report = world.take()
    assert report.packs == len(world.snapshot.packs) == 3
    assert all(pack.size_bytes <= 1024 * KIB for pack in world.snapshot.packs)
    assert world.contents() == contents
    assert world.extracted(tmp_path) == contents
    assert world.take().unchanged == 400


def test_the_limit_of_small_is_the_settings(world):
    world.put({"just": bytes(8 * KIB), "over": bytes(8 * KIB + 1)})
    report = world.take()
    assert (report.packed, report.copied) == (1, 1)
    assert (world.entry("just").packed, world.entry("over").packed) == (True, False)


def test_a_bucket_that_is_gone_is_said(world):
    world.source = "no-such-bucket-here"
    with pytest.raises(InputError, match="no-such-bucket-here"):
        world.take()
    assert world.stored() == {}


class _KilledError(Exception):
    pass


def killed_at(page):
    calls = iter(range(100))

    def check():
        if next(calls) >= page:
            raise _KilledError

    return check


def test_a_killed_run_is_gone_on_with_and_stores_nothing_twice(world, monkeypatch):
    monkeypatch.setattr("tdev_operators.core.backup.buckets.snapshot._PAGE_OBJECTS", 200)
    contents = {f"{n:04d}": bytes([n % 256]) * (7 * KIB) for n in range(400)}
    contents |= {f"weights/{n}": bytes([n]) * (20 * KIB) for n in range(20)}
    world.put(contents)
    with pytest.raises(_KilledError):
        world.take(check=killed_at(2))
    left = world.stored()
    assert any("/packs/" in key for key in left)
    assert not any("index" in key for key in left)
    report = world.take()
    assert report.reused == len(left)
    assert report.packs == len(world.snapshot.packs) - sum("/packs/" in key for key in left)
    again = world.stored()
    assert all(again[key].modified == info.modified for key, info in left.items())
    assert world.contents() == contents
    assert world.verify()["copies"] == 20
    assert not list(world.real.open_uploads(world.target, ""))


def test_a_run_that_is_repeated_whole_stores_the_index_alone(world):
    world.put(EVERYTHING)
    world.take()
    world.manifests.clear()
    report = world.take()
    assert (report.reused, report.packs, report.requests.get("COPY", 0)) == (4, 0, 0)
    assert (report.copied, len(world.snapshot.packs)) == (3, 1)
    assert world.verify() == {"copies": 3, "copied_bytes": 60 * KIB, "copies_without_checksum": 0}
    assert world.contents() == EVERYTHING


def test_what_a_dead_attempt_left_in_another_length_is_stored_anew(world):
    world.put(EVERYTHING)
    world.take()
    copy = world.place.key_of(world.entry("weights/0.bin"))
    world.real.put(world.target, copy, b"half")
    world.manifests.clear()
    assert world.take().reused == 3
    assert world.contents() == EVERYTHING


def test_a_run_that_lost_its_lease_ends_while_it_waits_for_a_copy(world, monkeypatch):
    monkeypatch.setattr("tdev_operators.core.backup.buckets.snapshot._TICK_SECONDS", 0.02)
    world.put(EVERYTHING)
    copied = []

    def slow(source_bucket, source, bucket, key):
        import time

        copied.append(source.key)
        time.sleep(0.3)
        return world.real.copy(source_bucket, source, bucket, key)

    world.store.copy = slow
    monkeypatch.setattr("tdev_operators.core.backup.buckets.storing._COPIES_AT_ONCE", 1)
    with pytest.raises(_KilledError):
        world.take(check=killed_at(3))
    assert copied == ["weights/0.bin"]  # what still waited was given up


@pytest.fixture
def sealed(world):
    identity = pyrage.x25519.Identity.generate()
    recipient = str(identity.to_public())
    world.settings = settings(age_recipients=[recipient], sample_percent=100)
    world.cipher = Age([recipient], str(identity))
    world.without_identity = Age([recipient])
    return world


def test_sealed_members_are_age_files_of_their_own_and_large_objects_are_streamed(sealed, tmp_path):
    world = sealed
    contents = {**EVERYTHING, "nothing": b""}
    world.put(contents)
    report = world.take()
    assert (report.packed, report.streamed, report.copied, report.requests.get("COPY", 0)) == (41, 3, 0, 0)
    assert "streamed through this worker" in report.result().summary
    assert world.contents() == contents
    assert world.verify()["copies"] == 3
    assert world.sample().differences == ()
    files = world.extracted(tmp_path)
    assert files.keys() == {f"{key}.age" for key in contents if not key.startswith("weights/")}
    identity = world.cipher._identities
    assert pyrage.decrypt(files["src/0003.py.age"], identity) == EVERYTHING["src/0003.py"]
    copy = world.bytes_at(world.place.key_of(world.entry("weights/1.bin")))
    assert pyrage.decrypt(copy, identity) == EVERYTHING["weights/1.bin"]
    plain = [body for body in contents.values() if len(body) > 20]
    for key in world.stored():
        stored = world.bytes_at(key)
        assert not any(body in stored for body in plain)
        assert key.endswith((".age", "marks.jsonl.zst", ".tar"))


def test_changes_are_seen_without_the_identity(sealed):
    world = sealed
    world.put(EVERYTHING)
    identity, world.cipher = world.cipher, world.without_identity
    world.take()
    world.put({"src/0001.py": b"changed", "weights/2.bin": bytes(30 * KIB)})
    world.real.delete(world.source, ["src/0002.py"])
    report = world.take()
    assert (report.unchanged, report.packed, report.streamed, report.deleted) == (40, 1, 1, 1)
    # All unchanged ones are due: their sealed bytes are held against the index, and nobody can look inside.
    assert (report.resampled, report.live_looks, report.mismatches) == (40, 0, 0)
    with pytest.raises(AccessDeniedError):
        world.entries()
    world.cipher = identity
    assert world.contents() == world.live()


def test_marks_hold_neither_etags_nor_digests_of_contents(sealed):
    world = sealed
    world.put(EVERYTHING)
    world.take()
    folder = world.place.folder_of(world.newest.set_id)
    marks = list(read_index(world.real, world.target, folder, world.snapshot.marks, Plain()))
    etags = {info.etag for info in world.real.list(world.source)}
    digests = {hashlib.sha256(body).hexdigest() for body in EVERYTHING.values()}
    assert [mark.key for mark in marks] == sorted(EVERYTHING)
    assert not {mark.etag for mark in marks} & etags
    assert not {mark.sha256 for mark in marks} & digests


def test_sealed_and_unchanged_ones_are_looked_at_live_where_the_identity_is(sealed):
    world = sealed
    world.put(EVERYTHING)
    world.take()
    report = world.take()
    assert (report.unchanged, report.resampled, report.live_looks, report.mismatches) == (43, 43, 40, 0)
    assert world.contents() == EVERYTHING


@pytest.mark.seeded
@pytest.mark.parametrize("to", ["sealed", "plain", "others"])
def test_a_set_refers_to_nothing_that_its_recipients_cannot_open(world, to):
    ours, theirs = (pyrage.x25519.Identity.generate() for _ in range(2))

    def seal_to(identity):
        world.settings = settings(age_recipients=[str(identity.to_public())])
        world.cipher = Age([str(identity.to_public())], str(identity))

    world.put(EVERYTHING)
    if to != "sealed":
        seal_to(ours)
    first = world.take()
    assert not any("stored anew" in note for note in first.notes)
    if to == "plain":
        world.settings, world.cipher = settings(), Plain()
    else:
        seal_to(theirs)
    report = world.take()
    assert (report.unchanged, report.packed, report.verdict) == (0, 40, Verdict.OK)
    assert "encrypted to other recipients" in report.result().summary
    assert world.contents() == EVERYTHING
    assert world.take().unchanged == 43


def test_one_object_of_an_earlier_set_is_read_by_itself(world):
    world.put(EVERYTHING)
    world.take()
    world.take()
    before = world.real.requests["GET"]
    entry = world.entry("src/0020.py")
    index_reads = world.real.requests["GET"] - before
    assert b"".join(read_object(world.real, world.place, entry, Plain())) == EVERYTHING["src/0020.py"]
    assert world.real.requests["GET"] - before - index_reads == 1


def test_two_buckets_of_one_set_do_not_meet(real, world, s3_server):
    other = f"{world.source}-other"
    s3_server.client.create_bucket(Bucket=other)
    assert World(real, other, world.target).take().objects == 0
