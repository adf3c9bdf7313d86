"""Which set a restore takes."""

from datetime import timedelta

import pytest

from tdev_operators.core.backup.manifest import State
from tdev_operators.core.backup.set_records import SetOnDisk
from tdev_operators.core.errors import InputError
from tdev_operators.core.recovery.choose_set import choose_set
from tests.backup_sets import NINE_PM, manifest


def one(sequence, state, *, days_ago=0):
    at = NINE_PM - timedelta(days=days_ago)
    set_id = f"{sequence:06d}-{at:%Y%m%dT%H%M%SZ}-aaaaaa"
    stated = None if state is State.STAGED else manifest(set_id, at=at)
    return SetOnDisk(set_id, sequence, state, stated is not None, stated, "digest")


SETS = [
    one(9, State.STAGED),
    one(8, State.READABLE),
    one(7, State.COMPLETE, days_ago=1),
    one(6, State.PROVEN, days_ago=1),
    one(5, State.PROVEN, days_ago=2),
]


@pytest.mark.parametrize(
    ("which", "unproven", "sequence", "newer"),
    [
        ("", False, 6, 2),
        ("", True, 8, 0),
        ("2026-11-24", False, 6, 2),
        ("2026-11-24", True, 7, 1),
        ("5", False, 5, 3),
        ("000005", False, 5, 3),
        ("8", True, 8, 0),
    ],
)
def test_a_person_gets_the_set_that_they_mean(which, unproven, sequence, newer):
    choice = choose_set(SETS, which, unproven=unproven)
    assert choice.manifest.sequence == sequence
    assert len(choice.newer) == newer
    assert bool(choice.missing) is (sequence in (7, 8))


def test_an_id_is_taken_whole_and_never_by_its_beginning():
    assert choose_set(SETS, SETS[3].set_id).set_id == SETS[3].set_id
    with pytest.raises(InputError, match="There is no set"):
        choose_set(SETS, SETS[3].set_id[:-1])


@pytest.mark.parametrize(
    ("which", "unproven", "says"),
    [
        ("8", False, "its bytes were read back, and nobody has restored"),
        ("7", False, "tick «unproven»"),
        ("9", True, "was ever completed"),
        ("2026-11-25", False, "not PROVEN"),
        ("2025-01-01", False, "newest sets are of 2026-11-25, 2026-11-24"),
        ("2026-13-01", False, "no day of the calendar"),
        ("77", True, "There is no set '77'"),
        ("backup-20261125.tar.gz", False, "There is no set"),
    ],
)
def test_everything_else_is_refused_with_a_sentence(which, unproven, says):
    with pytest.raises(InputError, match=says):
        choose_set(SETS, which, unproven=unproven)


def test_without_any_set_it_says_so():
    with pytest.raises(InputError, match="No set was ever completed"):
        choose_set([])
