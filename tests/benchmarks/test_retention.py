"""The retention benchmark at a small scale: every row is there, and what it times is the work."""

import pytest

from benchmarks.retention import rows


@pytest.mark.faults
def test_it_has_a_row_for_every_promise_and_every_run_cleaned():
    found = list(rows(scale=0.002, runs=1))
    assert [row.at_most for row in found] == [1.5, 0.5, 4.0, 1.5, 1 / 50, None]
    assert all(row.seconds > 0 and row.against_seconds > 0 for row in found)
    assert [row.unit for row in found] == ["s", "ms", "s", "ms", "s", "s"]
