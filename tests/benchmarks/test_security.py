"""The security benchmark at a small scale: every row is there, and what it times is the work."""

import pytest

from benchmarks.security import rows


@pytest.mark.faults
def test_it_has_a_row_for_every_promise():
    found = list(rows(scale=0.01, runs=1))
    assert [row.at_most for row in found] == [None, 0.5, 0.5, 1.0, 1.0, 1.0, 1.0]
    assert all(row.seconds > 0 and row.against_seconds > 0 for row in found)
    assert [row.unit for row in found] == ["s", "s", "s", "s", "MiB", "s", "MiB"]
    assert found[2].seconds < found[0].seconds, "what did not change is not scanned again"
