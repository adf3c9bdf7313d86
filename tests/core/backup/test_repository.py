"""Sets in a bucket: their state is what stands there, and nothing calls a set better than it is."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from tdev_operators.core.backup.manifest import State
from tdev_operators.core.backup.repository import Repository
from tdev_operators.core.backup.set_ids import is_set_id, make_set_id, order_of, parse_set_id, root_of
from tdev_operators.core.errors import BusyError, GarbledAnswerError, InputError
from tests.backup_sets import (
    EVERYTHING,
    NINE_PM,
    PACK,
    attested,
    complete_set,
    content_of,
    manifest,
    open_store,
    snapshot,
)

A_DAY = timedelta(days=1)


@pytest.fixture
def store(s3_server):
    with open_store(s3_server.endpoint_url, s3_server.access_key, s3_server.secret_key) as opened:
        yield opened


@pytest.fixture
def sets(store, bucket):
    return Repository(store, bucket, "app")


def states(repository):
    return [(one.sequence, one.state) for one in repository.sets()]


# Names


def test_a_name_is_made_parsed_and_sorted():
    name = make_set_id(7, NINE_PM)
    assert name.startswith("000007-20261125T210000Z-")
    assert str(parse_set_id(name)) == name
    assert order_of(make_set_id(7, NINE_PM)) < order_of(make_set_id(8, NINE_PM - A_DAY))
    with pytest.raises(InputError, match="no time zone"):
        make_set_id(7, NINE_PM.replace(tzinfo=None))
    with pytest.raises(InputError, match="1 to 999999"):
        make_set_id(1_000_000, NINE_PM)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "spool",
        "000007-20261125T210000Z-0f3a9",
        "000007-20261325T210000Z-0f3a9c",
        "00000\N{ARABIC-INDIC DIGIT SEVEN}-20261125T210000Z-0f3a9c",
    ],
)
def test_what_is_no_name(text):
    assert not is_set_id(text)
    with pytest.raises(InputError):
        parse_set_id(text)


@pytest.mark.parametrize("system", ["", "a/b", "..", "a\nb"])
def test_what_is_no_system(system):
    with pytest.raises(InputError):
        root_of(system)


# The life of a set


def test_a_set_lives_from_staged_to_proven(sets):
    assert sets.sets() == []
    begun = sets.begin("run-1", full=False, database_now=NINE_PM)
    assert (begun.sequence, begun.resumed, begun.prefix) == (1, False, f"app/{begun.set_id}/")
    assert states(sets) == [(1, State.STAGED)]
    set_id, digest = complete_set(sets, "run-1")
    assert set_id == begun.set_id
    assert states(sets) == [(1, State.COMPLETE)]
    assert sets.newest() is None
    sets.attest(attested("readable", set_id, digest, bytes=5))
    assert states(sets) == [(1, State.READABLE)]
    sets.attest(attested("proven", set_id, digest, tables=12))
    (found,) = sets.sets()
    assert (found.state, found.remarks, found.recovery_point) == (State.PROVEN, (), NINE_PM)
    assert found.attestations["proven"].facts == {"tables": 12}
    assert sets.newest() == found == sets.get(set_id)
    sets.withdraw(set_id)
    assert states(sets) == [(1, State.COMPLETE)]


def test_sequences_grow_whatever_the_clock_says(sets):
    complete_set(sets, "run-1", at=NINE_PM)
    complete_set(sets, "run-2", at=NINE_PM - 400 * A_DAY)
    assert states(sets) == [(2, State.COMPLETE), (1, State.COMPLETE)]
    assert sets.newest(State.COMPLETE).sequence == 2


def test_the_same_run_goes_on_with_its_own_set_and_no_other_does(sets):
    first = sets.begin("run-1", full=False, database_now=NINE_PM)
    again = sets.begin("run-1", full=False, database_now=NINE_PM + A_DAY)
    assert (again.set_id, again.resumed) == (first.set_id, True)
    assert sets.begin("run-1", full=True, database_now=NINE_PM).sequence == 2
    assert sets.begin("run-2", full=False, database_now=NINE_PM).sequence == 3
    complete_set(sets, "run-1")
    assert sets.begin("run-1", full=False, database_now=NINE_PM).sequence == 4, "a finished set is never taken up"


def test_two_that_begin_at_once_never_have_one_sequence(sets):
    def begin(number):
        try:
            return sets.begin(f"run-{number}", full=False, database_now=NINE_PM).sequence
        except BusyError:
            return None

    with ThreadPoolExecutor(4) as pool:
        begun = [sequence for sequence in pool.map(begin, range(4)) if sequence]
    assert len(begun) == len(set(begun))


# COMPLETE is earned


@pytest.mark.seeded(3)
@pytest.mark.parametrize("harm", ["missing", "short"])
@pytest.mark.parametrize("key", [*EVERYTHING, PACK])
def test_a_set_with_a_gap_is_never_complete(sets, key, harm):
    begun = sets.begin("run-1", full=False, database_now=NINE_PM)
    for whole in (*EVERYTHING, "buckets/agents/index.jsonl.zst", PACK):
        sets.store.put(sets.bucket, begun.prefix + whole, content_of(whole))
    if harm == "missing":
        sets.store.delete(sets.bucket, [begun.prefix + key])
    else:
        sets.store.put(sets.bucket, begun.prefix + key, content_of(key)[:-1])
    with pytest.raises(InputError, match=f"is not whole: {key} of .* bytes"):
        sets.complete(manifest(begun.set_id))
    assert states(sets) == [(1, State.STAGED)]


def test_copies_are_counted(sets):
    with pytest.raises(InputError, match="2 objects below buckets/agents/copies/"):
        complete_set(sets, "run-1", buckets=(snapshot(copies=2),))
    begun = sets.begin("run-1", full=False, database_now=NINE_PM)
    for number in range(2):
        sets.store.put(sets.bucket, f"{begun.prefix}buckets/agents/copies/{number}", b"x")
    complete_set(sets, "run-1", buckets=(snapshot(copies=2),))


def test_a_finished_set_is_never_changed(sets):
    set_id, digest = complete_set(sets, "run-1")
    assert sets.complete(manifest(set_id)) == digest, "a lost answer is no harm"
    with pytest.raises(BusyError, match="never changed"):
        sets.complete(manifest(set_id, full=True))
    assert sets.get(set_id).manifest_sha256 == digest


def test_what_was_not_begun_is_not_completed(sets):
    with pytest.raises(InputError, match="was not begun"):
        sets.complete(manifest(make_set_id(1, NINE_PM)))
    begun = sets.begin("run-1", full=False, database_now=NINE_PM)
    with pytest.raises(InputError, match="another system or sequence"):
        sets.complete(manifest(begun.set_id, sequence=2))
    with pytest.raises(InputError, match="another system or sequence"):
        sets.complete(manifest(begun.set_id, system="other"))


def test_a_store_that_reads_otherwise_than_it_wrote_is_found(sets, monkeypatch):
    real = sets.store.put
    monkeypatch.setattr(
        sets.store, "put", lambda b, k, body, **more: real(b, k, body.replace(b"0.1.0", b"9.9.9"), **more)
    )
    with pytest.raises(BusyError, match="another manifest"):
        complete_set(sets, "run-1")


# Attestations


def test_an_attestation_of_another_manifest_counts_for_nothing_and_is_named(sets):
    set_id, _ = complete_set(sets, "run-1")
    with pytest.raises(InputError, match="not the one that was attested"):
        sets.attest(attested("proven", set_id, "0" * 64))
    key = f"{sets.folder(set_id)}proven.json"
    sets.store.put(sets.bucket, key, attested("proven", set_id, "0" * 64).to_bytes())
    (found,) = sets.sets()
    assert found.state is State.COMPLETE
    assert found.remarks == (f"proven.json of {set_id} counts for nothing: it is bound to another manifest.",)


@pytest.mark.parametrize("harm", ["other set", "other kind", "garbage"])
def test_an_attestation_that_lies_counts_for_nothing(sets, harm):
    set_id, digest = complete_set(sets, "run-1")
    body = {
        "other set": attested("proven", make_set_id(1, NINE_PM), digest).to_bytes(),
        "other kind": attested("readable", set_id, digest).to_bytes(),
        "garbage": b"{",
    }[harm]
    sets.store.put(sets.bucket, f"{sets.folder(set_id)}proven.json", body)
    (found,) = sets.sets()
    assert (found.state, len(found.remarks)) == (State.COMPLETE, 1)


def test_a_proof_without_a_manifest_proves_nothing(sets):
    begun = sets.begin("run-1", full=False, database_now=NINE_PM)
    sets.store.put(sets.bucket, f"{begun.prefix}proven.json", attested("proven", begun.set_id, "0" * 64).to_bytes())
    (found,) = sets.sets()
    assert (found.state, found.has_manifest, len(found.remarks)) == (State.STAGED, False, 1)


@pytest.mark.parametrize("harm", ["garbage", "other format", "another set's"])
def test_a_damaged_manifest_is_told_and_never_taken_for_a_set(sets, harm):
    set_id, digest = complete_set(sets, "run-1")
    sets.attest(attested("proven", set_id, digest))
    body = json.loads(manifest(set_id).to_bytes())
    changed = {"garbage": 1, "other format": {**body, "format": 2}, "another set's": {**body, "system": "other"}}[harm]
    sets.store.put(sets.bucket, f"{sets.folder(set_id)}manifest.json", json.dumps(changed).encode())
    (found,) = sets.sets()
    assert (found.state, found.has_manifest, found.manifest, len(found.remarks)) == (State.STAGED, True, None, 1)
    assert sets.newest() is None
    with pytest.raises(GarbledAnswerError):
        sets.manifest(set_id)
    assert sets.begin("run-1", full=False, database_now=NINE_PM).sequence == 2
    with pytest.raises(GarbledAnswerError):
        sets.clean_leftovers([], grace=timedelta(seconds=-5))
    assert sets.get(set_id).has_manifest


def test_a_manifest_that_is_listed_and_cannot_be_had_is_told(sets, monkeypatch):
    set_id, _ = complete_set(sets, "run-1")
    real = sets.store.read_whole

    def gone(bucket, key, *, max_bytes):
        if key.endswith("manifest.json"):
            raise InputError(f"{key} does not exist.")
        return real(bucket, key, max_bytes=max_bytes)

    monkeypatch.setattr(sets.store, "read_whole", gone)
    (found,) = sets.sets()
    assert (found.state, found.has_manifest) == (State.STAGED, True)
    assert found.remarks == (f"app/{set_id}/manifest.json does not exist.",)


# Finding sets


def test_a_neighbour_with_a_longer_name_is_another_system(sets, store, bucket):
    staging = Repository(store, bucket, "app_staging")
    complete_set(staging, "run-1", system="app_staging")
    assert sets.sets() == []
    assert sets.begin("run-2", full=False, database_now=NINE_PM).sequence == 1
    assert len(staging.sets()) == 1


def test_sets_are_found_by_one_listing_each_among_whatever_stands_there(sets):
    ids = [complete_set(sets, f"run-{number}")[0] for number in range(3)]
    for key in ("0-file", "00/x", "spool/1/outcome.json", "probe", "zz/000001-20261125T210000Z-0f3a9c/manifest.json"):
        sets.store.put(sets.bucket, f"app/{key}", b"x")
    for number in range(30):
        sets.store.put(sets.bucket, f"{sets.folder(ids[1])}buckets/agents/packs/{number}.tar", b"x")
    before = sets.store.requests["LIST"]
    assert [folder.set_id for folder in sets.folders()] == ids
    assert sets.store.requests["LIST"] - before <= len(ids) + 3, "two strangers before the sets"


def test_what_does_not_exist_is_said(sets):
    with pytest.raises(InputError, match="There is no set"):
        sets.get(make_set_id(1, NINE_PM))
    with pytest.raises(InputError, match="no set id"):
        sets.get("../../etc")


# Leftovers


def open_uploads(repository):
    return sorted(upload.key for upload in repository.store.open_uploads(repository.bucket, ""))


def test_uploads_of_dead_attempts_are_aborted(sets, s3_server):
    dead, living, own = (sets.begin(f"run-{n}", full=False, database_now=NINE_PM) for n in range(3))
    keys = [one.prefix + PACK for one in (dead, living, own)] + [
        "other/000001-20261125T210000Z-0f3a9c/x",
        "app/spool/x",
    ]
    for key in keys:
        s3_server.client.create_multipart_upload(Bucket=sets.bucket, Key=key)
    assert open_uploads(sets) == sorted(keys)
    left = sets.clean_leftovers([living.set_id], grace=A_DAY, own=own.set_id)
    assert left.aborted_uploads == 2
    assert open_uploads(sets) == sorted([living.prefix + PACK, *keys[3:]])


def test_dead_attempts_are_cleared_and_nothing_else(sets):
    done, _ = complete_set(sets, "run-1")
    dead = sets.begin("run-2", full=False, database_now=NINE_PM)
    sets.store.put(sets.bucket, dead.prefix + PACK, b"x")
    living = sets.begin("run-3", full=False, database_now=NINE_PM)
    own = sets.begin("run-4", full=False, database_now=NINE_PM)
    left = sets.clean_leftovers([living.set_id], grace=A_DAY)
    assert left.removed_sets == (), "it may still be resumed"
    left = sets.clean_leftovers([living.set_id], grace=timedelta(seconds=-5), own=own.set_id)
    assert (left.removed_sets, left.removed_objects) == ((dead.set_id,), 2)
    assert [one.set_id for one in sets.sets()] == [own.set_id, living.set_id, done]
    assert list(sets.store.list(sets.bucket, dead.prefix)) == []


def test_what_a_complete_set_refers_to_is_no_leftover(sets):
    dead = sets.begin("run-1", full=False, database_now=NINE_PM)
    complete_set(sets, "run-2", buckets=(snapshot(referenced_sets=(dead.set_id,)),))
    assert sets.clean_leftovers([], grace=timedelta(seconds=-5)).removed_sets == ()


def test_lost_leases_stop_the_clearing(sets):
    sets.begin("run-1", full=False, database_now=NINE_PM)

    def lost():
        raise BusyError("The lease is lost.")

    with pytest.raises(BusyError):
        sets.clean_leftovers([], grace=timedelta(seconds=-5), still_ours=lost)
    assert states(sets) == [(1, State.STAGED)]
