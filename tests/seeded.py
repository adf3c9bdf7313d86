"""One seeded case of many in `make test`, all of them in `make faults`."""

import os
import random
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import pytest

SEED = os.environ.get("FAULTS_SEED", "3")


def drawn(name: str, cases: Sequence[Any]) -> list[Any]:
    """Return the cases for `parametrize`: all but one, drawn by the seed and this name, run in `make faults` only."""
    chosen = one_of(name, len(cases))
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=() if at == chosen else pytest.mark.faults)
        for at, case in enumerate(cases)
    ]


def one_of(name: str, cases: int) -> int:
    """Return which of so many cases the seed draws for this name."""
    return random.Random(f"{SEED} {name}").randrange(cases)


@pytest.hookimpl(tryfirst=True)  # before what is chosen by its mark
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to `make faults` all but one, or all but so many, of the cases of a test that is marked `seeded`."""
    marked = sorted((item for item in items if item.get_closest_marker("seeded")), key=_test_of)
    for test, cases in groupby(marked, _test_of):
        names = sorted({case.name: case for case in cases}.items())
        [most] = names[0][1].get_closest_marker("seeded").args or (1,)
        kept = set(random.Random(f"{SEED} {test}").sample([name for name, _ in names], min(most, len(names))))
        for name, case in names:
            if name not in kept:
                case.add_marker(pytest.mark.faults)


def _test_of(item: pytest.Item) -> str:
    return item.nodeid.partition("[")[0]
