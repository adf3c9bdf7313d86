"""The recovery benchmarks at a small scale: every row comes, and the restores are what they say."""

import pytest

from benchmarks.recovery import rows


@pytest.mark.faults
def test_every_row_of_the_recovery_table_comes():
    found = list(rows(scale=0.02, runs=1, drills=2))
    assert [row.work.split(",")[0].split(":")[0] for row in found] == [
        "restore of a set",
        "restore of the database",
        "failover",
        "failover",
        "drill 1",
        "drill 2",
    ]
    assert all(row.seconds > 0 and row.against_seconds > 0 for row in found)
    assert all(row.kept for row in found if row.work.startswith("failover"))
