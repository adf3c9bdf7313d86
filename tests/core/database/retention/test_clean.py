"""What goes, what stays, and what the receipt says."""

import pytest

from tdev_operators.core.database.retention.receipt import Folder, folders
from tdev_operators.core.verdicts import Verdict


def test_old_rows_go_important_ones_are_archived_first_and_all_are_accounted_for(metrics):
    before = metrics.rows()
    results = metrics.clean()
    assert results["retention.metrics"].verdict is Verdict.OK, results["retention.metrics"]
    assert results["retention.conservation"].verdict is Verdict.OK
    counts = metrics.counts
    # Rows are walked by time up to 30 days: 870 were looked at when the 30 important ones had gone.
    assert (counts["archived"], counts["discarded"], counts["kept"]) == (30, 810, 60)
    assert counts["rows"] == 900
    left = metrics.rows()
    assert len(left) == 360
    assert left.items() <= before.items()
    assert metrics.count("timestamp < now() - interval '90 days'") == 0
    assert metrics.count("timestamp < now() - interval '30 days' AND importance <> 'high'") == 0
