"""Of several that were left stopped, one that cannot be started holds up none of the others."""

import pytest

from tdev_operators.core.errors import CommandFailedError, InputError, TargetUnreachableError
from tdev_operators.core.evolution.recovery.starting import each_of


def failing(error):
    def start():
        raise error

    return start


def test_every_one_is_tried_and_all_errors_are_told_in_one():
    started = []
    errors = (InputError("There is no way to a."), TargetUnreachableError("b is away; look."))
    with pytest.raises(TargetUnreachableError, match=r"^There is no way to a; b is away; look\.$"):
        each_of([failing(errors[0]), failing(errors[1]), lambda: started.append("c")])
    assert started == ["c"]


def test_one_error_is_raised_as_it_is():
    error = CommandFailedError("It does not start; see its log.")
    with pytest.raises(CommandFailedError) as raised:
        each_of([failing(error)])
    assert raised.value is error
    each_of([])
