"""The benchmark of logs, small: all three count the same, and ours needs little memory."""

import pytest

from tests.debian import needs_debian

pytestmark = pytest.mark.faults


def test_all_three_count_the_same_lines():
    from benchmarks.logs import rows

    needs_debian("ripgrep", "/usr/bin/rg")
    found = list(rows(scale=0.01, runs=1))
    assert [row.unit for row in found] == ["s", "s", "s", "s", "MiB"]
    assert found[-1].kept, f"{found[-1].seconds:.0f} MiB"
