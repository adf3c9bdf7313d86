"""Carrying out a plan: whole sets, then the bytes that no kept set refers to, and nothing else."""

import os
from datetime import timedelta

import pytest
from pyrage import x25519

from sandbox.aws import ControlPlanes
from tdev_operators.core.backup import sweep as sweeping
from tdev_operators.core.backup.buckets.index import Entry, write_index
from tdev_operators.core.backup.cipher import Age
from tdev_operators.core.backup.manifest import State
from tdev_operators.core.backup.repository import Repository
from tdev_operators.core.backup.retention import Decision, RetentionPlan
from tdev_operators.core.backup.sweep import Marked, apply_plan, index_references
from tdev_operators.core.errors import AccessDeniedError, BusyError, InputError, TargetUnreachableError
from tests.backup_sets import EVERYTHING, INDEX, NINE_PM, PACK, attested, complete_set, open_store, snapshot

NO_GRACE = timedelta(seconds=-5)
ALL_KEYS = {*EVERYTHING, INDEX, PACK}


@pytest.fixture
def sets(s3_server, bucket):
    with open_store(s3_server.endpoint_url, s3_server.access_key, s3_server.secret_key) as store:
        yield Repository(store, bucket, "app")


def proven(repository, holder, **more):
    set_id, digest = complete_set(repository, holder, **more)
    repository.attest(attested("proven", set_id, digest))
    return set_id


def plan_of(repository, *removed, **more):
    decisions = (Decision(one.set_id, one.state, NINE_PM, one.set_id not in removed, "") for one in repository.sets())
    return RetentionPlan(tuple(decisions), **more)


def applied(repository, plan, *, references=lambda *_: iter(()), grace=NO_GRACE, still_ours=lambda: None, **more):
    journal = more.pop("journal", [])
    return apply_plan(
        repository,
        plan,
        grace=grace,
        references=references,
        journal=lambda event, facts: journal.append((event, facts)),
        progress=lambda line: None,
        still_ours=still_ours,
    )


def keys_in(repository, set_id):
    folder = repository.folder(set_id)
    return {info.key[len(folder) :] for info in repository.store.list(repository.bucket, folder)}


def test_a_set_goes_whole_and_the_others_stay(sets):
    old, new = proven(sets, "run-1"), proven(sets, "run-2")
    journal = []
    report = applied(sets, plan_of(sets, old), journal=journal)
    assert report.removed_sets == [old]
    assert (report.removed_objects, report.referenced_objects) == (len(ALL_KEYS), 0)
    assert keys_in(sets, old) == set()
    assert keys_in(sets, new) >= ALL_KEYS
    assert [one.set_id for one in sets.sets()] == [new]
    assert [event for event, _ in journal] == ["remove_set", "remove_objects"]
    assert journal[0][1] == {"set_id": old, "state": "PROVEN"}


def test_what_a_kept_set_refers_to_stays_until_that_goes_too(sets):
    old = proven(sets, "run-1")
    middle = proven(sets, "run-2", buckets=(snapshot(referenced_sets=(old,)),))
    new = proven(sets, "run-3")

    def references(one, bucket):
        assert (one.set_id, bucket.name) == (middle, "agents"), "sets that refer to nothing removed are not read"
        yield from [(middle, PACK), (old, PACK)]

    report = applied(sets, plan_of(sets, old), references=references)
    assert (report.referenced_objects, report.removed_objects) == (1, len(ALL_KEYS) - 1)
    assert keys_in(sets, old) == {PACK}
    assert [one.set_id for one in sets.sets()] == [new, middle], "a remnant is no set"
    assert sets.clean_leftovers([], grace=NO_GRACE).removed_sets == (), "nor is it a dead back-up"
    assert applied(sets, plan_of(sets), references=references).removed_objects == 0
    report = applied(sets, plan_of(sets, middle))
    assert keys_in(sets, old) == keys_in(sets, middle) == set()
    assert report.removed_objects == len(ALL_KEYS) + 1


@pytest.mark.seeded
@pytest.mark.parametrize("with_identity", [True, False])
def test_the_references_of_real_indexes_are_read(sets, with_identity):
    old = proven(sets, "run-1")
    begun = sets.begin("run-2", full=False, database_now=NINE_PM)
    identity = x25519.Identity.generate()
    seal = Age([str(identity.to_public())])
    entry = Entry("a.py", 7, "", NINE_PM, "", old, PACK, 512, 7, NINE_PM)
    index, _ = write_index(sets.store, sets.bucket, begun.prefix, INDEX, [entry], level=1, cipher=seal)
    proven(sets, "run-2", buckets=(snapshot(index=index, referenced_sets=(old,)),))
    cipher = Age(identities=str(identity) if with_identity else "")
    report = applied(sets, plan_of(sets, old), references=index_references(sets, cipher))
    assert keys_in(sets, old) == ({PACK} if with_identity else ALL_KEYS)
    assert (old in report.unread) is not with_identity


def test_young_bytes_wait(sets):
    old, _ = proven(sets, "run-1"), proven(sets, "run-2")
    report = applied(sets, plan_of(sets, old), grace=timedelta(days=3))
    assert (report.removed_sets, report.removed_objects, report.waiting_objects) == ([old], 0, len(ALL_KEYS))
    assert keys_in(sets, old) == ALL_KEYS
    assert applied(sets, plan_of(sets)).removed_objects == len(ALL_KEYS)


@pytest.mark.seeded
@pytest.mark.parametrize("failing", range(1, 6))
def test_a_sweep_that_dies_anywhere_leaves_no_set_that_looks_better_than_it_is(sets, monkeypatch, failing):
    old, new = proven(sets, "run-1"), proven(sets, "run-2")
    plan, real, calls = plan_of(sets, old), sets.store.delete, []

    def dying(bucket, keys):
        calls.append(keys)
        if len(calls) == failing:
            raise TargetUnreachableError("The store is gone.")
        real(bucket, keys)

    monkeypatch.setattr(sets.store, "delete", dying)
    with pytest.raises(TargetUnreachableError):
        applied(sets, plan)
    monkeypatch.undo()
    found = {one.set_id: one.state for one in sets.sets()}
    assert found[new] is State.PROVEN
    assert found.get(old) in (None, State.PROVEN)
    assert sets.clean_leftovers([], grace=NO_GRACE).removed_sets == ()
    applied(sets, plan)
    assert keys_in(sets, old) <= {"proven.json", "readable.json"}
    assert applied(sets, plan_of(sets)).removed_sets == []
    assert keys_in(sets, old) == set()


# Refusals


def test_a_refused_plan_is_not_carried_out(sets):
    old, _ = proven(sets, "run-1"), proven(sets, "run-2")
    with pytest.raises(InputError, match="the clock is wrong"):
        applied(sets, plan_of(sets, old, refusal="the clock is wrong."))
    assert len(sets.sets()) == 2


def test_the_newest_proven_set_is_never_removed(sets):
    old, new = proven(sets, "run-1"), proven(sets, "run-2")
    with pytest.raises(InputError, match=f"{new}, the newest PROVEN set"):
        applied(sets, plan_of(sets, old, new))
    assert len(sets.sets()) == 2


def test_a_plan_that_no_longer_fits_the_bucket_is_refused(sets):
    old, new = proven(sets, "run-1"), proven(sets, "run-2")
    plan = plan_of(sets, old)
    sets.withdraw(old)
    with pytest.raises(InputError, match=f"{old} is COMPLETE since"):
        applied(sets, plan)
    sets.store.delete(sets.bucket, [f"{sets.folder(new)}{name}.json" for name in ("staged", "manifest", "proven")])
    with pytest.raises(InputError, match=f"{new} is kept by the plan and is no longer there"):
        applied(sets, plan)
    assert keys_in(sets, old) >= ALL_KEYS


def test_nothing_is_removed_while_a_back_up_runs_or_can_be_resumed(sets):
    old, _ = proven(sets, "run-1"), proven(sets, "run-2")
    sets.begin("run-3", full=False, database_now=NINE_PM)
    with pytest.raises(BusyError, match="under way or can be resumed"):
        applied(sets, plan_of(sets, old), grace=timedelta(days=3))
    assert keys_in(sets, old) >= ALL_KEYS


def test_a_lost_lease_stops_it(sets):
    old, _ = proven(sets, "run-1"), proven(sets, "run-2")

    def lost():
        raise BusyError("The lease is lost.")

    with pytest.raises(BusyError):
        applied(sets, plan_of(sets, old), still_ours=lost)
    assert keys_in(sets, old) >= ALL_KEYS


def test_an_index_that_cannot_be_read_protects_everything_that_it_may_refer_to(sets):
    old = proven(sets, "run-1")
    other = proven(sets, "run-2")
    new = proven(sets, "run-3", buckets=(snapshot(referenced_sets=(old,)),))

    def references(one, bucket):
        yield old, PACK
        raise AccessDeniedError("There is no identity.")

    report = applied(sets, plan_of(sets, old, other), references=references)
    assert keys_in(sets, old) == ALL_KEYS
    assert keys_in(sets, other) == set()
    assert report.unread == {old: f"the index of agents in {new} cannot be read: There is no identity."}


def test_a_manifest_that_cannot_be_read_protects_all_remnants(sets):
    old, damaged, _ = proven(sets, "run-1"), proven(sets, "run-2"), proven(sets, "run-3")
    sets.store.put(sets.bucket, f"{sets.folder(damaged)}manifest.json", b"{")
    report = applied(sets, plan_of(sets, old))
    assert keys_in(sets, old) == ALL_KEYS
    assert report.unread == {old: f"the manifest of {damaged} cannot be read"}


# Object Lock


@pytest.fixture(scope="module")
def moto(supervisor):
    planes = ControlPlanes(supervisor, name="sweep-moto").start()
    yield planes
    planes.stop()


@pytest.mark.seeded
@pytest.mark.parametrize(("refused", "removed"), [("manifest.json", False), ("proven.json", True), (PACK, True)])
def test_what_the_store_refuses_to_delete_is_reported(sets, monkeypatch, refused, removed):
    old, other, _ = proven(sets, "run-1"), proven(sets, "run-2"), proven(sets, "run-3")
    real = sets.store.delete

    def locked(bucket, keys):
        if any(key == f"{sets.folder(old)}{refused}" for key in keys):
            raise AccessDeniedError("The object is under retention.")
        real(bucket, keys)

    monkeypatch.setattr(sets.store, "delete", locked)
    report = applied(sets, plan_of(sets, old, other))
    assert report.locked == {old: "The object is under retention."}
    assert (old in report.removed_sets) is removed
    assert other in report.removed_sets
    assert sets.newest() is not None


def test_under_object_lock_nothing_is_lost(moto):
    with open_store(moto.endpoint_url, "test", "test") as store:
        client, name = store._requests.client, f"locked-{os.urandom(6).hex()}"
        client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
        rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 30}}
        client.put_object_lock_configuration(
            Bucket=name, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
        )
        sets = Repository(store, name, "app")
        old, new = proven(sets, "run-1"), proven(sets, "run-2")
        report = applied(sets, plan_of(sets, old))
        assert report.removed_sets == [old]
        assert [one.set_id for one in sets.sets()] == [new]
        versions = client.list_object_versions(Bucket=name, Prefix=f"app/{old}/")
        assert {version["Key"] for version in versions["Versions"]} >= {f"app/{old}/{key}" for key in ALL_KEYS}


# Memory of keys


def test_a_key_is_never_forgotten_and_strangers_are_rarely_believed():
    known = Marked()
    for number in range(20_000):
        known.add(f"000001/packs/{number}")
    assert all(f"000001/packs/{number}" in known for number in range(20_000))
    assert sum(f"000002/packs/{number}" in known for number in range(20_000)) < 20
    assert len(known._bits) == 32 * 1024 * 1024
    assert Marked()._salt != sweeping.Marked()._salt
