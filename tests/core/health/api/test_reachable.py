"""api.reachable."""

import pytest

from tdev_operators.core.errors import GarbledAnswerError, SetupMissingError, TargetTimeoutError, TargetUnreachableError
from tdev_operators.core.health.api import reachable
from tdev_operators.core.verdicts import Verdict


def test_healthy(api, shipped):
    result = reachable.check(api(), shipped)
    assert result.verdict is Verdict.OK
    assert result.summary == "http://api.test says 'healthy' after 10 ms."


@pytest.mark.parametrize("error", [TargetUnreachableError, TargetTimeoutError, GarbledAnswerError])
def test_dead_slow_or_foreign_is_critical(api, shipped, error):
    result = reachable.check(api({"/health": error("It is so.")}), shipped)
    assert result.verdict is Verdict.CRITICAL
    assert result.summary == "GET /health of http://api.test: It is so."


def test_what_is_our_own_fault_is_not_told_of_the_api(api, shipped):
    with pytest.raises(SetupMissingError):
        reachable.check(api({"/health": SetupMissingError("The connection tdev_api is missing.")}), shipped)


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        ({"status": "sick"}, 200, "says status 'sick' instead of 'healthy'"),
        ({}, 200, "says status 'None'"),
        ([], 200, "says status 'None'"),
        ({"status": "healthy"}, 500, "answered status 500"),
        (b"<html>hello", 200, "answered no JSON but application/json: '<html>hello'"),
        (b"[" * 100_000, 200, "answered no JSON"),
        (b"\xff\xfe", 200, "answered no JSON"),
    ],
)
def test_a_wrong_answer_is_critical(api, shipped, fakes, data, status, words):
    result = reachable.check(api({"/health": fakes.answer(data, status=status)}), shipped)
    assert result.verdict is Verdict.CRITICAL
    assert words in result.summary
    assert len(result.summary) < 250
