"""agents.near_limit."""

import pytest

from tdev_operators.core.health.agents import near_limit
from tdev_operators.core.verdicts import Verdict


@pytest.mark.parametrize(("near", "verdict"), [(0, Verdict.OK), (25, Verdict.OK), (26, Verdict.WARNING)])
def test_only_a_large_share_is_a_warning(registry, shipped, near, verdict):
    agents = {f"a{n}": (6.2 if n < near else 3.0, 1.0) for n in range(100)}
    result = near_limit.check(registry(agents), shipped)
    assert result.verdict is verdict
    assert f"{near} of 100 agents" in result.summary


def test_agents_above_the_limit_are_not_near_it(registry, shipped):
    assert "0 of 1 agents" in near_limit.check(registry({"a": (7.0, 1.0)}), shipped).summary


def test_no_sizes_is_unknown(registry, shipped):
    assert near_limit.check(registry({"a": (None, 1.0)}), shipped).verdict is Verdict.UNKNOWN
