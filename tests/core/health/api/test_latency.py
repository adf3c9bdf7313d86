"""api.latency."""

import pytest

from tdev_operators.core.errors import TargetTimeoutError, TargetUnreachableError
from tdev_operators.core.health.api import latency
from tdev_operators.core.verdicts import Verdict


def test_quick_is_ok(api, shipped):
    result = latency.check(api(), shipped)
    assert result.verdict is Verdict.OK
    assert result.summary.startswith("20 requests; the slowest endpoint is")
    assert latency.DOUBTFUL


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [
        ([0.1, 0.1, 0.1, 0.1, 1.6], Verdict.WARNING),  # p95
        ([0.1, 0.1, 0.6, 0.6, 0.6], Verdict.WARNING),  # p50
        ([2.1] * 5, Verdict.CRITICAL),
        ([0.1, 0.1, 0.1, 0.1, 5.0], Verdict.CRITICAL),
    ],
)
def test_percentiles_against_their_limits(api, shipped, fakes, seconds, verdict):
    left = iter(seconds)
    result = latency.check(api({"/agents": lambda: fakes.answer({}, seconds=next(left))}), shipped)
    assert result.verdict is verdict
    assert "GET /agents takes" in result.summary


def test_one_time_out_is_critical(api, shipped):
    result = latency.check(api({"/agents": TargetTimeoutError("Silent for 10 s.")}), shipped)
    assert result.verdict is Verdict.CRITICAL
    assert result.summary == "GET /agents: Silent for 10 s."


def test_a_silent_api_costs_few_time_outs_and_raises(api, shipped):
    asked = []

    def silence():
        asked.append(1)
        return TargetTimeoutError("Silent for 10 s.")

    with pytest.raises(TargetTimeoutError):
        latency.check(api({entry.path: silence for entry in shipped.health.api.endpoints}), shipped)
    assert len(asked) <= 2  # one in each thread


def test_an_endpoint_that_cannot_be_asked_raises(api, shipped):
    with pytest.raises(TargetUnreachableError):
        latency.check(api({"/agents": TargetUnreachableError("no")}), shipped)


def test_a_slow_endpoint_is_not_asked_again_and_again(api, change, fakes):
    asked = []

    def slow():
        asked.append(1)
        return fakes.answer({}, seconds=10)

    latency.check(api({"/agents": slow}), change({"health.api.sampling_seconds": 1e-9}))
    assert len(asked) == 1


@pytest.mark.parametrize(("percent", "value"), [(50, 3), (95, 5), (100, 5), (1, 1)])
def test_percentile_is_a_value_that_was_measured(percent, value):
    assert latency.percentile([5, 1, 4, 2, 3], percent) == value
