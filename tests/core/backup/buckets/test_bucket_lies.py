"""Objects that move during a run, and stores that lie: a store in front of the real one does what no server can."""

import hashlib
import os

import pytest
from pyrage import x25519

from tdev_operators.core.backup.cipher import Age
from tdev_operators.core.errors import GarbledAnswerError, InputError, ProofFailedError, TargetUnreachableError
from tdev_operators.core.verdicts import Verdict
from tests.core.backup.buckets.worlds import KIB, settings, some_objects

EVERYTHING = some_objects()


def after_listing(world, then):
    """Let something happen between the listing of the source and the first read."""

    def listed(bucket, prefix="", **more):
        infos = list(world.real.list(bucket, prefix, **more))
        if bucket == world.source and not prefix and not after_done:
            after_done.append(True)
            then()
        return iter(infos)

    after_done = []
    world.store.list = listed


def test_small_ones_that_change_or_vanish_after_the_listing(world):
    world.put(EVERYTHING)

    def then():
        world.put({"src/0001.py": b"written meanwhile"})
        world.real.delete(world.source, ["src/0002.py"])

    after_listing(world, then)
    report = world.take()
    assert (report.changed, report.vanished, report.objects, report.verdict) == (1, 1, 42, Verdict.OK)
    assert world.contents() == world.live()
    assert world.snapshot.changed_during_run == 2
    assert "1 changed meanwhile, 1 vanished meanwhile" in report.result().summary
    assert world.take().unchanged == 42


def test_large_ones_that_change_or_vanish_after_the_listing(world):
    world.put(EVERYTHING)

    def then():
        world.put({"weights/0.bin": os.urandom(20 * KIB)})
        world.real.delete(world.source, ["weights/1.bin"])

    after_listing(world, then)
    report = world.take()
    assert (report.changed, report.vanished, report.copied, report.objects) == (1, 1, 2, 42)
    assert world.contents() == world.live()
    assert world.verify()["copies"] == 2
    assert world.sample().differences == ()


def test_a_small_one_that_becomes_a_large_one(world):
    world.put(EVERYTHING)
    gone = iter([True])

    def reads(bucket, wanted):
        for info, body in world.real.read_many(bucket, wanted):
            if info.key == "src/0005.py" and next(gone, False):
                world.put({"src/0005.py": bytes(50 * KIB)})
                yield info, InputError("It is gone.")
            else:
                yield info, body

    world.store.read_many = reads
    report = world.take()
    assert (report.changed, report.copied, report.packed) == (1, 4, 39)
    assert world.contents() == world.live()


def test_an_object_that_changes_without_end_is_not_in_the_set_and_is_said(world):
    world.put(EVERYTHING)

    def copy(source_bucket, source, bucket, key):
        if source.key == "weights/1.bin":
            world.put({source.key: os.urandom(20 * KIB)})
        return world.real.copy(source_bucket, source, bucket, key)

    world.store.copy = copy
    report = world.take()
    assert (report.unreadable, report.objects, report.verdict) == (1, 42, Verdict.WARNING)
    assert report.findings[0].key == "weights/1.bin"
    assert "changes faster than it can be copied" in report.result().summary


@pytest.mark.seeded
@pytest.mark.parametrize("key", ["src/0003.py", "weights/1.bin"])
def test_what_is_listed_and_cannot_be_read_is_critical(world, key):
    world.put(EVERYTHING)
    gone = InputError("It is gone.")

    def reads(bucket, wanted):
        for info, body in world.real.read_many(bucket, wanted):
            yield info, gone if info.key == key else body

    def copy(source_bucket, source, bucket, at):
        if source.key == key:
            raise gone
        return world.real.copy(source_bucket, source, bucket, at)

    world.store.read_many, world.store.copy = reads, copy
    world.store.find = lambda bucket, asked: None if asked == key else world.real.find(bucket, asked)
    report = world.take()
    assert (report.unreadable, report.vanished, report.objects, report.verdict) == (1, 0, 42, Verdict.CRITICAL)
    assert f"{key!r} is listed" in report.result().summary
    assert world.sample().differences == ()


def test_an_overwrite_while_a_large_one_is_streamed_is_seen_though_its_length_is_the_same(world):
    identity = x25519.Identity.generate()
    world.settings = settings(age_recipients=[str(identity.to_public())])
    world.cipher = Age([str(identity.to_public())], str(identity))
    world.put(EVERYTHING)
    new = os.urandom(20 * KIB)
    after_listing(world, lambda: world.put({"weights/0.bin": new}))
    report = world.take()
    assert (report.changed, report.streamed) == (1, 3)
    assert world.entry("weights/0.bin").etag == hashlib.md5(new).hexdigest()
    assert world.contents() == world.live()
    assert world.sample().differences == ()
    assert world.take().unchanged == 43


def test_figures_of_concurrent_copies_are_all_counted(world):
    contents = {f"{n:03d}": bytes([n % 256]) * (9 * KIB) for n in range(150)}
    world.put(contents)
    report = world.take()
    assert (report.copied, report.copied_bytes) == (150, 150 * 9 * KIB)
    assert world.verify()["copies"] == 150


def test_a_store_that_copies_nothing_is_caught_when_the_set_is_read_back_and_by_the_rotation(world):
    world.put(EVERYTHING)
    world.store.copy = lambda source_bucket, source, bucket, key: source
    assert world.take().copied == 3
    with pytest.raises(ProofFailedError, match=r"weights/0\.bin.* is gone"):
        world.verify()
    assert len(world.sample().differences) == 3
    del world.store.copy
    world.settings = settings(sample_percent=100)
    report = world.take()
    assert (report.mismatches, report.copied, report.verdict) == (3, 3, Verdict.CRITICAL)
    assert world.contents() == EVERYTHING
    assert world.verify()["copies"] == 3


@pytest.mark.seeded
@pytest.mark.parametrize("etag", ["md5", "multipart", "kms"])
def test_a_store_that_copies_something_else_of_the_same_length_is_caught(world, etag):
    world.put(EVERYTHING)
    names(world, etag)

    honest = world.store.copy

    def copy(source_bucket, source, bucket, key):
        world.real.put(bucket, key, bytes(20 * KIB) if source.key != "weights/0.bin" else b"\1" * (20 * KIB))
        return copied(source, etag)

    world.store.copy = copy
    world.take()
    with pytest.raises(ProofFailedError, match="weights"):
        world.verify()
    world.settings = settings(sample_percent=100)
    world.store.copy = honest
    report = world.take()
    assert (report.mismatches, report.copied) == (3, 3)


def names(world, kind):
    """Give the source's objects ETags that are no MD5, as after a multipart upload or under a key of KMS."""
    if kind == "md5":
        return
    made = {}

    def odd(info):
        digest = hashlib.md5(f"{kind}{info.key}{info.etag}".encode()).hexdigest()
        name = f"{digest}-2" if kind == "multipart" else digest
        made[name] = info.etag
        return (
            info._replace(etag=name)
            if hasattr(info, "_replace")
            else type(info)(info.key, info.size_bytes, name, info.modified)
        )

    def plain(info):
        return type(info)(info.key, info.size_bytes, made.get(info.etag, info.etag), info.modified)

    real = world.real

    def listed(bucket, prefix="", **more):
        infos = real.list(bucket, prefix, **more)
        return map(odd, infos) if bucket == world.source else infos

    def find(bucket, key):
        found = real.find(bucket, key)
        return odd(found) if found and bucket == world.source else found

    def reads(bucket, wanted):
        for info, body in real.read_many(bucket, map(plain, wanted)):
            yield (odd(info), body) if bucket == world.source else (info, body)

    world.store.list, world.store.find, world.store.read_many = listed, find, reads
    world.store.copy = lambda source_bucket, source, bucket, key: (
        real.copy(source_bucket, plain(source), bucket, key) and copied(source, kind)
    )


def copied(source, kind):
    """What the store calls the copy: with KMS each object has an ETag of its own."""
    etag = {"md5": source.etag, "multipart": source.etag}.get(kind, hashlib.md5(source.key.encode()).hexdigest())
    return type(source)(source.key, source.size_bytes, etag, source.modified)


@pytest.mark.seeded
@pytest.mark.parametrize("etag", ["multipart", "kms"])
def test_etags_that_are_no_md5_raise_no_false_alarm(world, etag):
    world.put(EVERYTHING)
    names(world, etag)
    world.settings = settings(sample_percent=100)
    assert world.take().verdict is Verdict.OK
    assert not any(entry.etag_is_md5 for entry in world.entries())
    assert world.verify() == {"copies": 3, "copied_bytes": 60 * KIB, "copies_without_checksum": 0}
    assert world.sample().differences == ()
    report = world.take()
    assert (report.unchanged, report.resampled, report.mismatches, report.live_looks) == (43, 43, 0, 43)
    assert all(entry.sha256 for entry in world.entries())  # read once, it has a checksum of its own
    report = world.take()
    assert (report.unchanged, report.mismatches) == (43, 0)


def test_a_copy_without_any_checksum_is_counted_when_its_source_has_changed_since(world):
    world.put(EVERYTHING)
    names(world, "multipart")
    world.take()
    world.put({"weights/1.bin": bytes(20 * KIB)})
    world.real.delete(world.source, ["weights/2.bin"])
    assert world.verify()["copies_without_checksum"] == 2


def test_a_source_that_is_overwritten_while_its_copy_is_compared_with_it_is_no_damage(world):
    world.put(EVERYTHING)
    names(world, "multipart")
    world.take()

    def read(bucket, key, **more):
        if bucket == world.source and key == "weights/1.bin":
            world.put({key: os.urandom(20 * KIB)})
        return world.real.read(bucket, key, **more)

    world.store.read = read
    assert world.verify()["copies_without_checksum"] == 1


def keeping_etags(world, keys):
    """Let the source change contents and keep their sizes and ETags."""
    old = {info.key: info for info in world.real.list(world.source)}
    for key in keys:
        world.put({key: bytes(byte ^ 1 for byte in EVERYTHING[key])})

    def kept(info):
        return old[info.key] if info.key in keys else info

    def listed(bucket, prefix="", **more):
        infos = world.real.list(bucket, prefix, **more)
        return map(kept, infos) if bucket == world.source else infos

    def reads(bucket, wanted):
        for info, body in world.real.read_many(bucket, wanted):
            yield (kept(info), body) if bucket == world.source else (info, body)

    def find(bucket, key):
        found = world.real.find(bucket, key)
        return kept(found) if found and bucket == world.source else found

    def copy(source_bucket, source, bucket, key):
        return world.real.copy(source_bucket, world.real.find(source_bucket, source.key), bucket, key)

    world.store.list, world.store.find = listed, find
    world.store.read_many, world.store.copy = reads, copy


@pytest.mark.seeded
@pytest.mark.parametrize("key", ["src/0000.py", "src/0039.py", "weights/1.bin"])
def test_a_store_that_keeps_etag_and_size_and_changes_the_content_is_caught_within_reverify_days(world, key):
    world.put(EVERYTHING)
    world.settings = settings(reverify_days=6, sample_percent=1)
    world.take()
    keeping_etags(world, [key])
    for _ in range(6):
        report = world.take()
        if report.mismatches:
            break
    assert (report.mismatches, report.verdict) == (1, Verdict.CRITICAL)
    assert f"{key!r}" in report.findings[0].summary
    assert "differ from the live object" in report.findings[0].summary
    assert world.contents() == world.live()


def test_an_overwrite_during_the_rotation_is_no_lie(world):
    world.put(EVERYTHING)
    world.settings = settings(sample_percent=100)
    world.take()

    def then():
        world.put({"src/0001.py": b"written meanwhile", "weights/1.bin": os.urandom(20 * KIB)})
        world.real.delete(world.source, ["src/0002.py", "weights/2.bin"])

    after_listing(world, then)
    report = world.take()
    assert (report.mismatches, report.unchanged, report.verdict) == (0, 43, Verdict.OK)
    assert world.contents() == EVERYTHING  # as it was listed


def test_a_previous_index_that_is_damaged_costs_a_full_run_and_is_critical(world):
    world.put(EVERYTHING)
    world.take()
    at = world.place.folder_of(world.newest.set_id) + world.snapshot.index.key
    body = world.bytes_at(at)
    world.real.put(world.target, at, body[:50] + bytes([body[50] ^ 1]) + body[51:])
    report = world.take()
    assert (report.unchanged, report.packed, report.copied, report.verdict) == (0, 40, 3, Verdict.CRITICAL)
    assert "cannot be referred to" in report.result().summary
    assert world.contents() == EVERYTHING
    world.real.delete(world.target, [world.place.folder_of(world.newest.set_id) + world.snapshot.index.key])
    assert world.take().verdict is Verdict.CRITICAL
    assert world.contents() == EVERYTHING


def test_a_listing_out_of_order_is_refused(world):
    world.put(EVERYTHING)
    world.store.list = lambda bucket, prefix="", **more: reversed(list(world.real.list(bucket, prefix, **more)))
    with pytest.raises(GarbledAnswerError, match="order of its keys"):
        world.take()
    assert not any("index" in key for key in world.stored())


@pytest.mark.seeded
@pytest.mark.parametrize("where", ["read_many", "copy", "upload"])
def test_a_store_that_is_away_ends_the_run_and_leaves_no_index(world, where):
    world.put(EVERYTHING)

    def away(*_, **__):
        raise TargetUnreachableError("The store is away.")

    setattr(world.store, where, away)
    with pytest.raises(TargetUnreachableError):
        world.take()
    assert not any("index" in key for key in world.stored())
    assert not list(world.real.open_uploads(world.target, ""))


@pytest.mark.parametrize("number", [0, 3])
def test_a_pack_that_cannot_be_stored_ends_the_run(world, number):
    world.put({f"{n:02d}": bytes([n]) * (500 * KIB) for n in range(8)})
    world.settings = settings(small_object_kb=512)  # two in a pack
    packs = iter(range(100))

    def upload(bucket, key):
        if "/packs/" in key and next(packs) == number:
            raise TargetUnreachableError("The store is away.")
        return world.real.upload(bucket, key)

    world.store.upload = upload
    with pytest.raises(TargetUnreachableError):
        world.take()
    assert not any("index" in key for key in world.stored())


def test_progress_is_told_with_a_rate(world, monkeypatch):
    monkeypatch.setattr("tdev_operators.core.backup.buckets.report._PACE_SECONDS", 0.0)
    world.put(EVERYTHING)
    world.take()
    lines = []
    world.take(progress=lines.append)
    assert any("43 objects" in line and "/s" in line for line in lines)
    assert any("s left" in line for line in lines)
