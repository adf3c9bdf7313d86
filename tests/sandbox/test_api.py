"""The stand-in API."""

import httpx
import pytest

PROTECTED = ("/api/evolution/status", "/generation/current", "/agents")


def _get(sandbox, path, token=None, user_agent="test"):
    headers = {"User-Agent": user_agent, **({"Authorization": f"Bearer {token}"} if token else {})}
    return httpx.get(sandbox.api.url + path, headers=headers, timeout=10)


def _log(sandbox):
    return (sandbox.logs / "api.log").read_text().splitlines()


@pytest.mark.parametrize("path", PROTECTED)
def test_a_get_without_the_token_is_refused_and_logged_with_its_user_agent(sandbox, path):
    for token, reason in ((None, "no token"), ("wrong", "wrong token")):
        refusal = _get(sandbox, path, token, "tdev-maintenance-probe")
        assert refusal.status_code == 401
        line = _log(sandbox)[-1]
        assert f" WARNING api Authentication failed for GET {path} from 127.0.0.1: {reason}" in line
        assert 'user agent "tdev-maintenance-probe"' in line
    assert _get(sandbox, path, sandbox.api.token).status_code == 200


def test_health_is_open(sandbox):
    answer = _get(sandbox, "/health")
    assert answer.status_code == 200
    assert answer.json().keys() == {"status", "timestamp", "service"}
    assert answer.json()["service"] == "t-developer-api"


def test_answers_come_from_the_database(sandbox):
    token = sandbox.api.token
    with sandbox.database() as database:
        generation = database.execute("SELECT max(generation) FROM evolution_history").fetchone()[0]
    assert _get(sandbox, "/generation/current", token).json()["generation"] == generation
    assert _get(sandbox, "/api/evolution/status", token).json()["status"] == "running"
    agents = _get(sandbox, "/agents", token).json()
    assert agents["count"] == len(agents["agents"]) == 40


def test_the_writing_endpoints_want_the_token_too(sandbox):
    assert httpx.post(f"{sandbox.api.url}/api/evolution/stop", timeout=10).status_code == 401
    assert _get(sandbox, "/api/evolution/status", sandbox.api.token).json()["status"] == "running"


def test_a_stranger_cannot_forge_log_lines(sandbox):
    before = len(_log(sandbox))
    _get(sandbox, "/agents", user_agent=b"a\x85b\tc")
    assert len(_log(sandbox)) == before + 1


def test_the_configuration_is_told_and_taken(sandbox):
    token = sandbox.api.token
    headers = {"Authorization": f"Bearer {token}"}
    url = f"{sandbox.api.url}/api/config"
    before = _get(sandbox, "/api/config", token).json()
    assert before["cache_ttl"] == 60
    assert httpx.patch(url, json={"cache_ttl": 300}, timeout=10).status_code == 401
    assert httpx.patch(url, json={"cache_ttl": 300}, headers=headers, timeout=10).json() == {**before, "cache_ttl": 300}
    assert _get(sandbox, "/api/config", token).json()["cache_ttl"] == 300
    for wrong in ({"cache_ttl": "long"}, {"cache_size": 1}):
        assert httpx.patch(url, json=wrong, headers=headers, timeout=10).status_code == 422
    httpx.patch(url, json=before, headers=headers, timeout=10)
