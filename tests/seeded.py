"""One seeded case of many in `make test`, all of them in `make faults`."""

import os
import random
from collections.abc import Sequence
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
