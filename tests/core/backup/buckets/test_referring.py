"""Which earlier set a new one refers to."""

import pytest

from tdev_operators.core.backup.repository import Repository
from tdev_operators.core.backup.take import to_refer_to
from tests.backup_sets import attested, complete_set, snapshot

BOTH = (snapshot(), snapshot(name="checkpoints"))


@pytest.fixture
def sets(real, bucket):
    return Repository(real, bucket, "app")


def read_back(sets, made):
    set_id, digest = made
    sets.attest(attested("readable", set_id, digest))
    return set_id


def referred(sets, name="agents"):
    found = to_refer_to(sets.sets(), name)
    return found and found.set_id


def test_nothing_is_referred_to_before_there_is_anything(sets):
    sets.begin("run-0", full=False, database_now=snapshot().taken_at)
    assert referred(sets) is None


def test_nothing_is_referred_to_while_nothing_was_read_back(sets):
    complete_set(sets, "run-1")
    assert referred(sets) is None


def test_the_newest_that_was_read_back_so_that_a_damaged_one_does_not_live_on(sets):
    read_back(sets, complete_set(sets, "run-1"))
    second = read_back(sets, complete_set(sets, "run-2"))
    third = complete_set(sets, "run-3")
    assert referred(sets) == second
    read_back(sets, third)
    assert referred(sets) == third[0]
    sets.withdraw(third[0])
    assert referred(sets) == second


def test_a_set_without_the_bucket_is_passed_over(sets):
    first = read_back(sets, complete_set(sets, "run-1", buckets=BOTH))
    second = read_back(sets, complete_set(sets, "run-2"))
    assert (referred(sets, "agents"), referred(sets, "checkpoints")) == (second, first)
    assert referred(sets, "other") is None


def test_a_bucket_that_only_an_unread_set_has_is_stored_anew(sets):
    read_back(sets, complete_set(sets, "run-1"))
    complete_set(sets, "run-2", buckets=BOTH)
    assert referred(sets, "checkpoints") is None
