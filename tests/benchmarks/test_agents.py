"""The benchmark of the agents' optimiser measures what it says."""

import pytest

from benchmarks import agents

pytestmark = pytest.mark.faults


def test_a_few_agents_are_optimised_both_ways():
    both = list(agents.rows(scale=0.008, runs=1))
    assert [row.against for row in both] == ["one at a time", "600 s a thousand"]
    assert all(row.seconds > 0 and row.against_seconds > 0 for row in both)
    assert both[0].at_most == 0.6
