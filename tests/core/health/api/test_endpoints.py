"""api.endpoints."""

import pytest

from tdev_operators.core.errors import TargetTimeoutError, TargetUnreachableError
from tdev_operators.core.health.api import endpoints
from tdev_operators.core.health.settings import Endpoint
from tdev_operators.core.verdicts import Verdict


def test_all_answer(api, shipped):
    result = endpoints.check(api(), shipped)
    assert result.verdict is Verdict.OK
    assert result.coverage.seen == ("/health", "/api/evolution/status", "/generation/current", "/agents")


def test_a_shell_of_an_answer_is_critical_at_every_endpoint(api, shipped, fakes):
    for endpoint in shipped.health.api.endpoints:
        result = endpoints.check(api({endpoint.path: fakes.answer({})}), shipped)
        assert result.verdict is Verdict.CRITICAL, endpoint.path


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        ([], 200, "GET /health: answered a JSON list instead of object."),
        ({"status": "healthy"}, 200, "GET /health: lacks timestamp, service in its JSON."),
        ({}, 401, "GET /health: answered status 401 instead of 200."),
    ],
)
def test_a_wrong_answer_is_critical(api, shipped, fakes, data, status, words):
    result = endpoints.check(api({"/health": fakes.answer(data, status=status)}), shipped)
    assert result.verdict is Verdict.CRITICAL
    assert result.summary == words


def test_one_that_hangs_is_critical(api, shipped):
    result = endpoints.check(api({"/agents": TargetTimeoutError("It was silent for 10 s.")}), shipped)
    assert result.verdict is Verdict.CRITICAL
    assert result.summary == "GET /agents: It was silent for 10 s."


def test_an_api_that_is_gone_raises(api, shipped):
    gone = {entry.path: TargetUnreachableError("no") for entry in shipped.health.api.endpoints}
    with pytest.raises(TargetUnreachableError):
        endpoints.check(api(gone), shipped)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([{"id": 1}, {"id": 2}], ""),
        ([], ""),
        ([{"id": 1}, {}], "lacks id"),
        ([1], "lacks id"),
        ({}, "JSON dict instead of list"),
    ],
)
def test_lists(api, change, fakes, data, words):
    one = change({"health.api.endpoints": (Endpoint(path="/agents", answer="list", required_keys=("id",)),)})
    result = endpoints.check(api({"/agents": fakes.answer(data)}), one)
    assert (result.verdict is Verdict.OK) is (not words)
    assert words in result.summary


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (b'{"count": 1, "agents": [', Verdict.OK),
        (b'{"agents": [', Verdict.CRITICAL),
        (b"<html>count", Verdict.CRITICAL),
    ],
)
def test_of_an_answer_longer_than_is_read_the_beginning_is_judged(api, change, fakes, body, verdict):
    one = change({"health.api.endpoints": (Endpoint(path="/agents", required_keys=("count",)),)})
    long = body + b"1," * (512 * 1024)
    assert endpoints.check(api({"/agents": fakes.answer(long[: 1024 * 1024])}), one).verdict is verdict
