"""READABLE is earned by reading every byte."""

import os
import time
from hashlib import md5, sha256

import pytest
from pyrage import x25519

from tdev_operators.core.backup.buckets.index import Entry, write_index
from tdev_operators.core.backup.cipher import Age, Plain
from tdev_operators.core.backup.manifest import StoredFile
from tdev_operators.core.backup.readback import read_back
from tdev_operators.core.backup.repository import Repository
from tdev_operators.core.backup.set_ids import make_set_id
from tdev_operators.core.backup.set_records import files_of
from tdev_operators.core.errors import BusyError, ProofFailedError, TargetUnreachableError
from tests.backup_sets import (
    EVERYTHING,
    INDEX,
    NINE_PM,
    PACK,
    complete_set,
    content_of,
    dump,
    manifest,
    open_store,
    snapshot,
)

MIB = 1024 * 1024


@pytest.fixture
def sets(s3_server, bucket):
    with open_store(s3_server.endpoint_url, s3_server.access_key, s3_server.secret_key) as store:
        yield Repository(store, bucket, "app")


def read(sets, set_id, *, lines=None, check=lambda: None, cipher=None):
    stored = sets.manifest(set_id)
    progress = lines.append if lines is not None else (lambda line: None)
    return read_back(sets.store, sets.bucket, "app", stored, cipher or Plain(), progress, check)


def test_a_whole_set_is_read_back(sets):
    set_id, _ = complete_set(sets, "run-1")
    lines = []
    facts = read(sets, set_id, lines=lines)
    files = list(files_of(sets.manifest(set_id)))
    assert (facts["objects"], facts["bytes"]) == (6, sum(file.size_bytes for file in files))
    assert {file.key for file in files} == {*EVERYTHING, INDEX, PACK}
    assert lines == [f"Read back 6 objects of {set_id}: all as they were written."]


def flipped(body):
    return body[:100] + bytes([body[100] ^ 1]) + body[101:]


HARMS = {
    "flipped": flipped,
    "cut": lambda body: body[:-1],
    "longer": lambda body: body + b"x",
    "empty": lambda body: b"",
}


@pytest.mark.seeded(6)
@pytest.mark.parametrize("key", [*EVERYTHING, INDEX, PACK])
@pytest.mark.parametrize("harm", [*HARMS, "gone"])
def test_any_harm_to_any_object_is_found_and_named(sets, key, harm):
    set_id, _ = complete_set(sets, "run-1")
    if harm == "gone":
        sets.store.delete(sets.bucket, [sets.folder(set_id) + key])
    else:
        sets.store.put(sets.bucket, sets.folder(set_id) + key, HARMS[harm](content_of(key)))
    with pytest.raises(ProofFailedError, match=f"{set_id}/{key}"):
        read(sets, set_id)


# Copies of large objects stand in the index only

COPY = "buckets/agents/copies/0a"


def with_copies(sets, *, cipher, sha256="", etag="", copies=1):
    """Write a set whose index names a copy of its own, one of an earlier set and one in a pack."""
    begun = sets.begin("run-1", full=False, database_now=NINE_PM)
    body = content_of(COPY)
    mine = Entry("big", len(body), etag, NINE_PM, sha256, begun.set_id, COPY, None, len(body), NINE_PM, bool(etag))
    earlier = mine._replace(key="old", set_id=make_set_id(9, NINE_PM))
    packed = mine._replace(key="small", at=PACK, offset=512, length=7)
    sets.store.put(sets.bucket, begun.prefix + COPY, body)
    index, _ = write_index(
        sets.store, sets.bucket, begun.prefix, INDEX, [mine, earlier, packed], level=1, cipher=cipher
    )
    for key in (*EVERYTHING, PACK):
        sets.store.put(sets.bucket, begun.prefix + key, content_of(key))
    sets.complete(manifest(begun.set_id, buckets=(snapshot(index=index, copies=copies),)))
    return begun.set_id


def read_copies(sets, set_id, cipher):
    return read(sets, set_id, cipher=cipher)


@pytest.mark.parametrize("known", ["sha256", "etag"])
@pytest.mark.parametrize("sealed", [False, True])
def test_copies_are_read_back_too(sets, known, sealed):
    identity = x25519.Identity.generate()
    cipher = Age([str(identity.to_public())], str(identity)) if sealed else Plain()
    body = content_of(COPY)
    knows = {"sha256": sha256(body).hexdigest()} if known == "sha256" else {"etag": md5(body).hexdigest()}
    set_id = with_copies(sets, cipher=cipher, **knows)
    assert read_copies(sets, set_id, cipher)["copies"] == 1
    for harmed in (flipped(body), body[:-1]):
        sets.store.put(sets.bucket, sets.folder(set_id) + COPY, harmed)
        with pytest.raises(ProofFailedError, match="The stored bytes of 'big' in the set"):
            read_copies(sets, set_id, cipher)
    sets.store.delete(sets.bucket, [sets.folder(set_id) + COPY])
    with pytest.raises(ProofFailedError, match=r"The copy of 'big' in the set .* is gone"):
        read_copies(sets, set_id, cipher)


def test_an_index_that_names_fewer_copies_than_the_manifest_is_found(sets):
    begun = sets.begin("run-1", full=False, database_now=NINE_PM)
    sets.store.put(sets.bucket, f"{begun.prefix}buckets/agents/copies/0b", b"x")
    set_id = with_copies(sets, cipher=Plain(), copies=2)
    with pytest.raises(ProofFailedError, match="names 1 copies"):
        read_copies(sets, set_id, Plain())


def test_a_lost_lease_ends_it(sets):
    set_id, _ = complete_set(sets, "run-1")

    def lost():
        raise BusyError("The lease is lost.")

    with pytest.raises(BusyError):
        read(sets, set_id, check=lost)


def test_a_store_that_cannot_be_read_proves_nothing_either_way(sets, monkeypatch):
    set_id, _ = complete_set(sets, "run-1")

    def down(*_, **__):
        raise TargetUnreachableError("The store is gone.")

    stored = sets.manifest(set_id)
    monkeypatch.setattr(sets.store, "read", down)
    with pytest.raises(TargetUnreachableError):
        read_back(sets.store, sets.bucket, "app", stored, Plain(), print, lambda: None)


def test_the_first_damage_ends_the_reading_of_the_others(sets, monkeypatch):
    body = os.urandom(8 * MIB)
    large = StoredFile(key="database/app/large.zst", size_bytes=len(body), sha256=sha256(body).hexdigest())
    begun = sets.begin("run-1", full=False, database_now=dump().snapshot_at)
    sets.store.put(sets.bucket, begun.prefix + large.key, body)
    set_id, _ = complete_set(sets, "run-1", databases=(dump(files=(*dump().files, large)),))
    facts = read(sets, set_id)
    assert facts["bytes"] > 8 * MIB
    sets.store.put(sets.bucket, sets.folder(set_id) + PACK, b"damaged")
    real, passed = sets.store.read, []

    def slow(bucket, key, **more):
        for chunk in real(bucket, key, **more):
            if key.endswith("large.zst"):
                time.sleep(0.2)
                passed.append(len(chunk))
            yield chunk

    stored = sets.manifest(set_id)
    monkeypatch.setattr(sets.store, "read", slow)
    with pytest.raises(ProofFailedError, match="packs/00"):
        read_back(sets.store, sets.bucket, "app", stored, Plain(), print, lambda: None)
    assert sum(passed) < 8 * MIB
