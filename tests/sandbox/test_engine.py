"""The evolution engine: it really evolves, stops and resumes."""

import json
import time
from collections.abc import Callable

import httpx
import pytest

from sandbox.seed_files import AGENTS_BUCKET, CHECKPOINTS_BUCKET
from sandbox.system import Sandbox

INTERVAL = 0.1

pytestmark = pytest.mark.xdist_group("engine")


@pytest.fixture(scope="module")
def evolving():
    with Sandbox.start("small", engine=True, engine_interval_seconds=INTERVAL) as running:
        yield running


def _generation(sandbox) -> int:
    with sandbox.database() as database:
        return database.execute("SELECT max(generation) FROM evolution_history").fetchone()[0]


def _until(condition: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


def _post(sandbox, what):
    headers = {"Authorization": f"Bearer {sandbox.api.token}"}
    answer = httpx.post(f"{sandbox.api.url}/api/evolution/{what}", headers=headers, timeout=10)
    answer.raise_for_status()
    return answer.json()["status"]


def test_generations_checkpoints_agents_and_log_lines_come(evolving):
    begun = _generation(evolving)
    target = begun // 10 * 10 + 10
    _until(lambda: _generation(evolving) > target)
    objects = evolving.objects.client()
    document = json.loads(
        objects.get_object(Bucket=CHECKPOINTS_BUCKET, Key=f"checkpoint_gen{target:04}.json")["Body"].read()
    )
    assert document["generation"] == target
    assert document["best_genome"] in document["population"]
    assert f"Generation {target} complete" in (evolving.logs / "evolution.log").read_text()
    _post(evolving, "stop")
    with evolving.database() as database:
        agents = database.execute("SELECT name, version, size_kb FROM agents").fetchall()
    _post(evolving, "resume")
    assert len(agents) > 40
    for name, version, size_kb in agents:
        size = objects.head_object(Bucket=AGENTS_BUCKET, Key=f"{name}/{version}.py")["ContentLength"]
        assert float(size_kb) == pytest.approx(size / 1024, abs=0.001)


def test_after_the_answer_to_a_stop_there_is_no_generation(evolving):
    assert _post(evolving, "stop") == "stopped"
    stopped_at = _generation(evolving)
    time.sleep(5 * INTERVAL)
    assert _generation(evolving) == stopped_at
    assert evolving.engine.running
    assert _post(evolving, "resume") == "running"
    _until(lambda: _generation(evolving) > stopped_at)


def test_it_goes_on_after_the_database_was_killed(evolving):
    evolving.source.kill()
    time.sleep(3 * INTERVAL)
    evolving.source.start()
    before = _generation(evolving)
    _until(lambda: _generation(evolving) > before)


def _slope(sandbox) -> float:
    with sandbox.database() as database:
        return database.execute(
            "SELECT regr_slope(mean, generation) FROM (SELECT generation, avg(fitness_score) AS mean "
            "FROM evolution_history WHERE timestamp > now() - interval '24 hours' GROUP BY generation) g"
        ).fetchone()[0]


def test_breakages_hold_while_it_runs_until_they_are_mended(evolving):
    evolving.break_("decline_fitness")
    before = _generation(evolving)
    _until(lambda: _generation(evolving) > before + 10)
    assert _slope(evolving) < 0
    evolving.mend()
    _until(lambda: _generation(evolving) > before + 20)
    assert _slope(evolving) > 0

    evolving.break_("stall_evolution")
    stalled_at = _generation(evolving)
    time.sleep(5 * INTERVAL)
    assert _generation(evolving) == stalled_at
    evolving.mend()
    _until(lambda: _generation(evolving) > stalled_at)
