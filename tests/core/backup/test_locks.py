"""Object Lock: what a proven set refers to stays locked, in rotation, and a store that refuses is told of."""

import os
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.aws import ControlPlanes
from tdev_operators.core.backup.buckets.index import Entry, write_index
from tdev_operators.core.backup.cipher import Plain
from tdev_operators.core.backup.locks import Turn, extend_locks
from tdev_operators.core.backup.manifest import State
from tdev_operators.core.backup.ports import LockRule
from tdev_operators.core.backup.repository import Repository
from tdev_operators.core.backup.sweep import index_references
from tdev_operators.core.errors import AccessDeniedError
from tdev_operators.core.verdicts import Verdict
from tests.backup_sets import INDEX, NINE_PM, PACK, attested, complete_set, open_store, snapshot

DAYS = 30
COPY = "copies/0123"
MONTH = LockRule("COMPLIANCE", DAYS)


@pytest.fixture(scope="module")
def moto(supervisor):
    planes = ControlPlanes(supervisor, name="locks-moto").start()
    yield planes
    planes.stop()


@pytest.fixture
def sets(moto):
    with open_store(moto.endpoint_url, "test", "test") as store:
        name = f"locked-{os.urandom(6).hex()}"
        client = store._requests.client
        client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
        rule = {"DefaultRetention": {"Mode": MONTH.mode, "Days": MONTH.days}}
        client.put_object_lock_configuration(
            Bucket=name, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
        )
        yield Repository(store, name, "app")


@pytest.fixture
def pair(sets):
    """An old set, and a newer one that refers to its pack (from two objects) and to one of its copies."""
    old, digest = complete_set(sets, "run-1")
    sets.attest(attested("proven", old, digest))
    sets.store.put(sets.bucket, sets.folder(old) + COPY, b"large")
    begun = sets.begin("run-2", full=False, database_now=NINE_PM)
    entries = [
        Entry("a.py", 7, "", NINE_PM, "", old, PACK, 512, 7, NINE_PM),
        Entry("b.py", 7, "", NINE_PM, "", old, PACK, 1536, 7, NINE_PM),
        Entry("c.py", 5, "", NINE_PM, "", old, COPY, 0, 5, NINE_PM),
        Entry("d.py", 7, "", NINE_PM, "", begun.set_id, PACK, 512, 7, NINE_PM),
    ]
    index, _ = write_index(sets.store, sets.bucket, begun.prefix, f"{INDEX}.real", entries, level=1, cipher=Plain())
    new, digest = complete_set(sets, "run-2", buckets=(snapshot(index=index, referenced_sets=(old,)),))
    sets.attest(attested("proven", new, digest))
    return old, new


def locked_until(sets, set_id, key):
    client = sets.store._requests.client
    return client.head_object(Bucket=sets.bucket, Key=sets.folder(set_id) + key)["ObjectLockRetainUntilDate"]


def extended(sets, now, last=None):
    newest = sets.newest(State.PROVEN)
    return extend_locks(sets.store, sets.bucket, newest, last, now, index_references(sets, Plain()))


def test_what_is_referred_to_is_locked_on_and_nothing_else(sets, pair):
    old, new = pair
    own = locked_until(sets, new, PACK)
    unused = locked_until(sets, old, INDEX)
    later = (datetime.now(UTC) + timedelta(days=20)).replace(microsecond=0)
    result = extended(sets, later)
    assert (result.verdict, result.measurements[0].value) == (Verdict.OK, 2), "the pack once, and the copy"
    until = later + timedelta(days=DAYS)
    assert locked_until(sets, old, PACK) == locked_until(sets, old, COPY) == until
    assert (locked_until(sets, new, PACK), locked_until(sets, old, INDEX)) == (own, unused)


def test_the_same_proof_again_shortens_nothing(sets, pair):
    old, _ = pair
    later = (datetime.now(UTC) + timedelta(days=20)).replace(microsecond=0)
    extended(sets, later)
    extended(sets, later - timedelta(days=3))
    assert locked_until(sets, old, PACK) >= later + timedelta(days=DAYS - 3)


def test_a_lock_that_is_longer_already_is_left_as_it_is(sets, pair, monkeypatch):
    old, _ = pair
    later = (datetime.now(UTC) + timedelta(days=20)).replace(microsecond=0)
    extended(sets, later)
    before = locked_until(sets, old, PACK)
    with monkeypatch.context() as patch:
        patch.setattr(sets.store._requests.client, "put_object_retention", _refuse)  # as AWS does, and moto does not
        result = extended(sets, later - timedelta(days=3))
        assert (result.verdict, result.measurements[0].value) == (Verdict.OK, 0)
        refused = extended(sets, later + timedelta(days=3))
    assert refused.verdict is Verdict.WARNING
    assert "s3:PutObjectRetention" in refused.hint
    assert locked_until(sets, old, PACK) == before


def _refuse(**_):
    from botocore.exceptions import ClientError

    answer = {"Error": {"Code": "AccessDenied", "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    raise ClientError(answer, "PutObjectRetention")


def test_references_that_cannot_be_read_are_told_of(sets, pair):
    def sealed(*_):
        raise AccessDeniedError("There is no identity.")
        yield

    result = extend_locks(sets.store, sets.bucket, sets.newest(State.PROVEN), None, NINE_PM, sealed)
    assert (result.verdict, "There is no identity." in result.summary) == (Verdict.WARNING, True)


def test_where_there_is_no_lock_nothing_is_said(s3_server, bucket):
    with open_store(s3_server.endpoint_url, s3_server.access_key, s3_server.secret_key) as store:
        sets = Repository(store, bucket, "app")
        set_id, digest = complete_set(sets, "run-1")
        sets.attest(attested("proven", set_id, digest))
        assert extended(sets, NINE_PM) is None


@given(st.lists(st.integers(1, 20), min_size=1, max_size=30), st.sampled_from([1, 2, 7, 30, 365]))
def test_however_irregular_the_proofs_each_object_has_its_turn_in_time(gaps, days):
    rule = LockRule("GOVERNANCE", days)
    keys = [f"000001/copies/{number}" for number in range(50)]
    turns = Counter()
    now = NINE_PM
    extended_at = dict.fromkeys(keys, now)
    for gap in gaps:
        last, now = now, now + timedelta(days=gap)
        turn = Turn.since(last, now, rule)
        for key in keys:
            if turn.takes(key):
                turns[key] += 1
                extended_at[key] = now
            assert (now - extended_at[key]).days < max(days // 2, 1) + gap
    assert Turn.since(None, now, rule).days == frozenset(range(max(1, days // 2)))
