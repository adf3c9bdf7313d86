"""An API that answers as it should, to be bent by a test."""

import pytest

GOOD = {
    "/health": {"status": "healthy", "timestamp": "2026-11-23T12:00:00Z", "service": "t-developer-api"},
    "/api/evolution/status": {"status": "running", "changed_at": None, "generation": 7, "last_generation_at": None},
    "/generation/current": {"generation": 7},
    "/agents": {"count": 0, "agents": []},
}


@pytest.fixture
def api(fakes, ports):
    """Return a maker of ports with an API; `answers` and `strangers` replace good answers by path."""

    def make(answers=None, strangers=None, forgers=None):
        good = {path: fakes.answer(data) for path, data in GOOD.items()}
        refusals = {path: fakes.answer({"detail": "no"}, status=401) for path in GOOD}
        return ports(api=fakes.Api({**good, **(answers or {})}, {**refusals, **(strangers or {})}, forgers or {}))

    return make
