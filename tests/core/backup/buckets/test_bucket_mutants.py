"""Damage to what a set wrote: each must be caught by reading it back, by the sample or by the rotation."""

import pyrage
import pytest

from tdev_operators.core.backup.buckets.index import write_index
from tdev_operators.core.backup.cipher import Age
from tdev_operators.core.backup.readback import read_back
from tdev_operators.core.errors import ProofFailedError
from tdev_operators.core.verdicts import Verdict
from tests.core.backup.buckets.worlds import SYSTEM, settings, some_objects

EVERYTHING = some_objects()


@pytest.fixture
def taken(world):
    world.put(EVERYTHING)
    world.take()
    return world


def flip(body, at=-700):
    at %= len(body)
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


HARMS = {
    "a flipped byte": flip,
    "truncated": lambda body: body[: len(body) // 2],
    "missing": None,
    "empty": lambda _: b"",
}


def harm(world, key, how):
    if how is None:
        world.real.delete(world.target, [key])
    else:
        world.real.put(world.target, key, how(world.bytes_at(key)))


def read_all_back(world):
    return read_back(
        world.real,
        world.target,
        SYSTEM,
        world.newest.model_copy(update={"databases": (), "globals": world.snapshot.index}),
        world.cipher,
        lambda _: None,
        lambda: None,
    )


def test_what_is_whole_passes(taken):
    assert read_all_back(taken)["copies"] == 3


@pytest.mark.seeded
@pytest.mark.parametrize("mutant", HARMS)
def test_harm_to_a_copy(taken, mutant):
    harm(taken, taken.place.key_of(taken.entry("weights/1.bin")), HARMS[mutant])
    with pytest.raises(ProofFailedError, match=r"weights/1\.bin"):
        taken.verify()
    with pytest.raises(ProofFailedError, match=r"weights/1\.bin"):
        read_all_back(taken)
    (difference,) = taken.sample().differences
    assert "agents: " in difference
    assert SYSTEM in difference or "weights/1.bin" in difference
    caught_by_the_rotation(taken, at_least=1)


@pytest.mark.seeded
@pytest.mark.parametrize("mutant", HARMS)
def test_harm_to_a_pack(taken, mutant):
    entry = taken.entry("src/0038.py")
    at = entry.offset + 1
    harm(
        taken, taken.place.key_of(entry), (lambda body: flip(body, at)) if mutant == "a flipped byte" else HARMS[mutant]
    )
    with pytest.raises(ProofFailedError, match=r"packs/"):
        read_all_back(taken)
    assert taken.sample().differences
    if mutant == "a flipped byte":
        assert len(taken.sample().differences) == 1
        assert "src/0038.py" in taken.sample().differences[0]
    caught_by_the_rotation(taken, at_least=1)


def caught_by_the_rotation(world, *, at_least):
    world.settings = settings(sample_percent=100)
    report = world.take()
    assert report.mismatches >= at_least
    assert report.verdict is Verdict.CRITICAL
    assert report.result().verdict is Verdict.CRITICAL
    assert "stored anew" in report.result().summary
    assert world.contents() == EVERYTHING
    assert world.take().verdict is Verdict.OK


@pytest.mark.seeded
@pytest.mark.parametrize("key", ["src/0013.py", "weights/1.bin"])
def test_a_flipped_byte_in_what_was_sealed(world, key):
    identity = pyrage.x25519.Identity.generate()
    world.settings = settings(age_recipients=[str(identity.to_public())])
    world.cipher = Age([str(identity.to_public())], str(identity))
    world.put(EVERYTHING)
    world.take()
    entry = world.entry(key)
    at = (entry.offset or 0) + entry.length - 1
    harm(world, world.place.key_of(entry), lambda body: flip(body, at))
    with pytest.raises(ProofFailedError, match="are not those that were written" if not entry.packed else "packs/"):
        read_all_back(world)
    (difference,) = world.sample().differences
    assert key in difference
    report = world.take(day=40)
    assert (report.resampled, report.mismatches, report.verdict) == (43, 1, Verdict.CRITICAL)
    assert world.contents() == EVERYTHING


def test_two_copies_that_were_swapped(taken):
    one, other = (taken.place.key_of(taken.entry(f"weights/{n}.bin")) for n in (0, 2))
    bodies = taken.bytes_at(one), taken.bytes_at(other)
    taken.real.put(taken.target, one, bodies[1])
    taken.real.put(taken.target, other, bodies[0])
    with pytest.raises(ProofFailedError, match="weights/"):
        taken.verify()
    assert len(taken.sample().differences) == 2
    caught_by_the_rotation(taken, at_least=2)


@pytest.mark.seeded
@pytest.mark.parametrize("keys", [("src/0013.py", "src/0020.py"), ("weights/0.bin", "weights/1.bin")])
def test_two_objects_that_an_index_takes_for_each_other(taken, keys):
    """The digests are all right: only the ETag of the source knows which content was whose."""
    entries = {entry.key: entry for entry in taken.entries()}
    one, other = (entries[key] for key in keys)
    assert one.size_bytes == other.size_bytes
    for mine, its in ((one, other), (other, one)):
        entries[mine.key] = mine._replace(at=its.at, offset=its.offset, sha256=its.sha256)
    folder = taken.place.folder_of(taken.newest.set_id)
    index, _ = write_index(
        taken.real,
        taken.target,
        folder,
        "buckets/agents/index.jsonl.zst",
        entries.values(),
        level=1,
        cipher=taken.cipher,
    )
    taken.manifests[-1] = taken.newest.model_copy(
        update={"buckets": (taken.snapshot.model_copy(update={"index": index}),)}
    )
    assert len(taken.sample().differences) == 2
    caught_by_the_rotation(taken, at_least=2)


def test_a_member_that_was_exchanged_within_a_pack(taken):
    one, other = taken.entry("src/0013.py"), taken.entry("src/0020.py")
    key = taken.place.key_of(one)
    body = bytearray(taken.bytes_at(key))
    spans = [slice(entry.offset, entry.offset + entry.length) for entry in (one, other)]
    body[spans[0]], body[spans[1]] = body[spans[1]], body[spans[0]]
    taken.real.put(taken.target, key, bytes(body))
    with pytest.raises(ProofFailedError, match="packs/"):
        read_all_back(taken)
    assert len(taken.sample().differences) == 2
    caught_by_the_rotation(taken, at_least=2)


@pytest.mark.seeded
@pytest.mark.parametrize("how", ["flipped", "cut", "missing", "shorter"])
def test_harm_to_the_index(taken, how):
    key = taken.place.folder_of(taken.newest.set_id) + taken.snapshot.index.key
    if how == "shorter":  # a whole index of fewer objects, which the manifest does not know
        index, _ = write_index(
            taken.real,
            taken.target,
            taken.place.folder_of(taken.newest.set_id),
            "buckets/agents/index.jsonl.zst",
            taken.entries()[1:],  # of a pack: the number of copies is still right
            level=1,
            cipher=taken.cipher,
        )
        assert key.endswith(index.key)
    else:
        harm(taken, key, {"flipped": lambda body: flip(body, 99), "cut": lambda body: body[:-5], "missing": None}[how])
    with pytest.raises(ProofFailedError):
        read_all_back(taken)
    if how != "missing":
        with pytest.raises(ProofFailedError):
            taken.verify()


def test_an_index_of_other_copies_than_the_manifest_tells_of(taken):
    changed = taken.snapshot.model_copy(update={"copies": 4})
    taken.manifests[-1] = taken.newest.model_copy(update={"buckets": (changed,)})
    with pytest.raises(ProofFailedError, match="names 3 copies; its manifest tells of 4"):
        taken.verify()


def test_the_sample_is_a_share_of_the_objects_and_never_none(taken):
    assert taken.sample(0.001).figures["sampled_objects"] == 1
    some = taken.sample(30).figures["sampled_objects"]
    assert 3 <= some <= 27


def test_a_damaged_sample_names_a_few_and_counts_the_rest(taken):
    harm(taken, taken.place.key_of(taken.entry("src/0038.py")), None)
    differences = taken.sample().differences
    assert len(differences) == 21
    assert differences[-1] == "And 20 more differences."
    assert not [key for key in taken.stored() if "/scratch/" in key]


def test_a_store_that_stores_the_restored_object_wrong_is_caught(taken):
    def read(bucket, key, **more):
        chunks = taken.real.read(bucket, key, **more)
        return (flip(chunk, 0) for chunk in chunks) if "/scratch/" in key else chunks

    taken.store.read = read
    (difference,) = taken.sample(0.001).differences
    assert "do not trust this store" in difference
