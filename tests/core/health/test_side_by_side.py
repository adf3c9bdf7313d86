"""Several things at once."""

import threading

import pytest

from tdev_operators.core.errors import InputError
from tdev_operators.core.health.side_by_side import side_by_side


def test_answers_and_errors_come_back_in_order():
    def fails():
        raise InputError("no")

    answers = side_by_side({"a": lambda: 1, "b": fails, "c": lambda: 3}, at_most=2)
    assert list(answers) == ["a", "b", "c"]
    assert (answers["a"], answers["c"]) == (1, 3)
    assert isinstance(answers["b"], InputError)


def test_they_run_at_once_in_daemon_threads():
    barrier = threading.Barrier(3, timeout=5)

    def meet():
        barrier.wait()
        return threading.current_thread().daemon

    assert side_by_side(dict.fromkeys(range(3), meet), at_most=3) == {0: True, 1: True, 2: True}


def test_no_more_threads_than_allowed():
    def name():
        return threading.current_thread().name

    names = side_by_side(dict.fromkeys(range(20), name), at_most=2)
    assert len(set(names.values())) <= 2


def test_a_defect_is_raised_here():
    with pytest.raises(ZeroDivisionError):
        side_by_side({"a": lambda: 1 // 0, "b": lambda: 2}, at_most=1)


def test_nothing_to_do():
    assert side_by_side({}, at_most=4) == {}
