"""The journal of a recovery: read by the next try, and never written by two."""

import pytest

from tdev_operators.core.errors import BusyError, GarbledAnswerError, InputError
from tdev_operators.core.recovery.journal import Journal


def test_what_was_noted_is_read_by_the_next(day):
    with day.ports() as ports:
        place = (ports.store, day.settings.buckets.backups, day.house.name, "restore-journal-1")
        first = Journal(*place)
        first.note("a step", "intended", what=1)
        first.note("a step", "done", rows=3)
        first.note("b step", "intended")
        again = Journal(*place)
        assert [(entry.number, entry.step, entry.event) for entry in again.entries] == [
            (1, "a step", "intended"),
            (2, "a step", "done"),
            (3, "b step", "intended"),
        ]
        assert again.done("a step") == {"rows": 3}
        assert again.done("b step") is None
        again.note("a step", "undone")
        assert again.done("a step") is None
        assert all(entry.at.tzinfo for entry in Journal(*place).entries)


def test_of_two_that_write_it_one_is_stopped(day):
    with day.ports() as ports:
        place = (ports.store, day.settings.buckets.backups, day.house.name, "restore-journal-2")
        one, other = Journal(*place), Journal(*place)
        one.note("x", "intended")
        with pytest.raises(BusyError):
            other.note("x", "intended")


def test_garbage_is_no_line(day):
    day.house.write("elsewhere/recovery/restore-journal-3/00001.json", b"{}")  # apart from what others look through
    with day.ports() as ports, pytest.raises(GarbledAnswerError, match="no line of a recovery's journal"):
        Journal(ports.store, day.settings.buckets.backups, "elsewhere", "restore-journal-3")


@pytest.mark.parametrize("name", ["", "../x", "A", "a/b", "x" * 101])
def test_a_name_stays_in_its_folder(day, name):
    with day.ports() as ports, pytest.raises(InputError, match="no name of a recovery"):
        Journal(ports.store, "b", "s", name)
