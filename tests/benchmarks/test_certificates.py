"""The benchmark of certificates at a small scale: its row is there, and what it times is the look."""

import pytest

from benchmarks.certificates import rows

pytestmark = pytest.mark.faults


def test_it_has_the_promised_row():
    [row] = rows(scale=0.05, runs=1)
    assert (row.at_most, row.unit) == (1.2, "s")
    assert row.seconds > row.against_seconds, "the silent one costs its whole limit"
