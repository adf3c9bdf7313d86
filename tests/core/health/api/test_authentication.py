"""api.authentication."""

import pytest

from tdev_operators.core.errors import TargetTimeoutError
from tdev_operators.core.health.api import authentication
from tdev_operators.core.verdicts import Verdict


def test_all_refuse(api, shipped):
    result = authentication.check(api(), shipped)
    assert result.verdict is Verdict.OK
    paths = ("/api/evolution/status", "/generation/current", "/agents")  # /health is open
    manners = ("without a token", "with a made-up token")
    assert result.coverage.seen == tuple(f"{path} {manner}" for path in paths for manner in manners)


def test_one_that_lets_strangers_in_is_critical(api, shipped, fakes):
    result = authentication.check(api(strangers={"/agents": fakes.answer({})}), shipped)
    assert result.verdict is Verdict.CRITICAL
    assert result.summary.startswith("GET /agents answers 200 without a token.")


def test_one_that_takes_any_token_is_critical(api, shipped, fakes):
    result = authentication.check(api(forgers={"/agents": fakes.answer({})}), shipped)
    assert result.verdict is Verdict.CRITICAL
    assert result.summary == "GET /agents answers 200 with a made-up token."


@pytest.mark.parametrize("status", [302, 404, 500])
def test_neither_in_nor_out_is_unknown(api, shipped, fakes, status):
    result = authentication.check(api(strangers={"/agents": fakes.answer({}, status=status)}), shipped)
    assert result.verdict is Verdict.UNKNOWN
    assert f"answered {status}" in result.summary


def test_silence_is_unknown_and_explained(api, shipped):
    result = authentication.check(api(strangers={"/agents": TargetTimeoutError("Silence.")}), shipped)
    assert result.verdict is Verdict.UNKNOWN
    assert result.because_of == "api.reachable"


def test_nothing_protected_is_not_green(api, change, shipped):
    open_door = tuple(entry.model_copy(update={"protected": False}) for entry in shipped.health.api.endpoints)
    assert authentication.check(api(), change({"health.api.endpoints": open_door})).verdict is Verdict.UNKNOWN
