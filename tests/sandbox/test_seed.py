"""The seed: deterministic, true to the rules of T-Developer, and real Python."""

import ast
import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import fmean

import pytest

from sandbox.scales import SCALES
from sandbox.seed import load_database, tell_story
from sandbox.seed_files import write_buckets, write_logs

NOW = datetime(2026, 11, 23, 12, 34, 56, tzinfo=UTC)


@pytest.fixture(scope="module")
def small():
    return tell_story(SCALES["small"], NOW)


@pytest.fixture(scope="module")
def full():
    return tell_story(SCALES["full"], NOW)


def test_the_same_now_tells_the_same_story(small):
    assert tell_story(SCALES["small"], NOW) == small


def test_another_now_moves_the_same_story(small):
    moved = tell_story(SCALES["small"], NOW + timedelta(days=3))
    assert [a.source for a in moved.agents] == [a.source for a in small.agents]
    assert moved.generations[-1][0].timestamp - small.generations[-1][0].timestamp == timedelta(days=3)


def test_sources_are_real_varied_importable_and_within_the_limits(full):
    sizes = [agent.size_kb for agent in full.agents]
    assert len(sizes) == 300
    assert 1.0 < min(sizes) < 1.3
    assert max(sizes) <= 6.5
    assert sum(size > 6.0 for size in sizes) == 9
    assert len({agent.source for agent in full.agents}) == 300
    assert len({(agent.name, agent.version) for agent in full.agents}) == 300
    shapes = {tuple(type(node).__name__ for node in ast.parse(agent.source).body) for agent in full.agents}
    assert len(shapes) > 250
    for agent in full.agents:
        module: dict = {"__name__": agent.name}
        exec(compile(agent.source, agent.key, "exec"), module)
        answer = module["create_agent"]()([3.0, 1.0, 2.5, 20.0])
        assert isinstance(answer, float)
        assert math.isfinite(answer)


def test_every_way_of_writing_python_is_there(full):
    everything = b"\n".join(agent.source for agent in full.agents).decode()
    for style in ("@dataclass", "__slots__", "nonlocal", "async def", '"""', "match ", "yield ", "lambda ", "(ABC)"):
        assert style in everything


def test_history_is_hourly_and_rises_slowly(full):
    moments = [generation[0].timestamp for generation in full.generations]
    assert len(moments) == 42 * 24
    assert timedelta() < NOW - moments[-1] < timedelta(minutes=10)
    assert all(timedelta(minutes=59) < b - a < timedelta(minutes=61) for a, b in pairwise(moments))
    means = [fmean(each.fitness for each in generation) for generation in full.generations]
    days = [fmean(means[first : first + 24]) for first in range(0, len(means), 24)]
    assert all(a < b for a, b in pairwise(days))
    assert 0.5 < means[0] < means[-1] < 0.9


def test_no_agent_is_evaluated_before_its_birth(full):
    born = {agent.id: agent.created_at for agent in full.agents}
    assert all(born[each.agent_id] <= each.timestamp for generation in full.generations for each in generation)


@pytest.fixture
def owner(cluster):
    with cluster.connect() as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'owner'").fetchone():
            connection.execute("CREATE ROLE owner")
    return "owner"


TABLES = (
    *("agents", "agent_versions", "evolution_history", "fitness_tracking"),
    *("gene_pool", "evolution_patterns", "ai_analysis_results", "metrics"),
)


def test_two_databases_of_one_seed_are_equal(cluster, owner, small):
    digests = []
    for name in ("seed_a", "seed_b"):
        cluster.create_database(name)
        try:
            with cluster.connect(name) as connection:
                connection.execute("GRANT CREATE ON SCHEMA public TO owner")
                load_database(connection, small, owner=owner)
                digests.append(
                    [
                        connection.execute(
                            f"SELECT count(*), sum(hash_record_extended(t.*, 0)) FROM {table} t"
                        ).fetchone()
                        for table in TABLES
                    ]
                )
                levels = connection.execute("SELECT importance, count(*) FROM metrics GROUP BY 1").fetchall()
                oldest = connection.execute("SELECT min(timestamp) FROM metrics").fetchone()
        finally:
            cluster.drop_database(name)
    assert digests[0] == digests[1]
    assert all(count > 0 for count, _ in digests[0])
    assert {level for level, _ in levels} == {"low", "normal", "high"}
    assert NOW - oldest[0] > timedelta(days=119)


def test_files_are_the_same_twice(tmp_path, small):
    for name in ("a", "b"):
        (tmp_path / name / "buckets").mkdir(parents=True)
        (tmp_path / name / "logs").mkdir()
        write_buckets(tmp_path / name / "buckets", small)
        write_logs(tmp_path / name / "logs", small)
    content = {
        name: {
            str(file.relative_to(tmp_path / name)): file.read_bytes()
            for file in (tmp_path / name).rglob("*")
            if file.is_file()
        }
        for name in ("a", "b")
    }
    assert content["a"] == content["b"]
    assert f"buckets/t-developer-agents/{small.agents[0].key}" in content["a"]
    assert "buckets/t-developer-checkpoints/checkpoint_gen0010.json" in content["a"]
    assert {"logs/api.log", "logs/api.log.1", "logs/api.log.2.gz", "logs/api.log.10.gz"} <= content["a"].keys()
