"""The seed: six weeks in the life of a T-Developer, the same for the same scale and the same now.

`tell_story` is pure: agents with their sources, and all generations. `load_database` writes the story to PostgreSQL by
COPY; `seed_files` writes buckets and logs.
"""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from sandbox.agent_sources import BYTES_A_KB, agent_source
from sandbox.population import Evaluation, evaluate, next_mean, random_uuid
from sandbox.scales import Scale

SEED = "t-developer"

_HERE = Path(__file__).resolve().parent
_FIRST_MEAN = 0.55
_DRIFT = 0.0008
_LAST_GENERATION_AGE = timedelta(minutes=5)
_METRIC_NAMES = {
    "low": ("debug.gc_pause_ms", "debug.queue_length", "cache.lookups", "worker.heartbeats"),
    "normal": ("api.latency_ms", "api.requests", "worker.cpu_percent", "worker.memory_mb"),
    "high": ("evolution.best_fitness", "evolution.duration_s", "billing.tokens"),
}


@dataclass(frozen=True, slots=True)
class Agent:
    """A registered agent, with its source."""

    id: UUID
    name: str
    version: str
    capabilities: tuple[str, ...]
    source: bytes
    instantiation_us: float
    fitness: float
    created_at: datetime
    updated_at: datetime

    @property
    def key(self) -> str:
        """Key of the source in the agents bucket."""
        return f"{self.name}/{self.version}.py"

    @property
    def size_kb(self) -> float:
        """The source's size in KB of 1,024 bytes, as the registry states it."""
        return round(len(self.source) / BYTES_A_KB, 3)

    @property
    def code_hash(self) -> str:
        """SHA-256 of the source."""
        return hashlib.sha256(self.source).hexdigest()


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that is seeded and has a shape of its own; `now` is the moment at which it ends."""

    scale: Scale
    now: datetime
    agents: tuple[Agent, ...]
    generations: tuple[tuple[Evaluation, ...], ...]

    def chance(self, purpose: str) -> Random:
        """Return a source of chance of its own for a purpose, so that parts may be written in any order."""
        return Random(f"{SEED}/{purpose}")


def tell_story(scale: Scale, now: datetime) -> Story:
    """Make up agents and generations that end at `now` (aware)."""
    start = now - timedelta(days=scale.history_days)
    agents = tuple(_agents(scale, start, now))
    return Story(scale, now, agents, tuple(_generations(scale, now, agents)))


def make_agent(random: Random, number: int, size_bytes: int, born: datetime, *, fitness: float) -> Agent:
    """Return agent `number` with a source of about this size."""
    name, capabilities, source = agent_source(SEED, number, size_bytes)
    return Agent(
        id=random_uuid(random),
        name=name,
        version="1.0.0",
        capabilities=capabilities,
        source=source.encode(),
        instantiation_us=round(random.uniform(0.8, 2.7), 3),
        fitness=fitness,
        created_at=born,
        updated_at=born,
    )


def wanted_size(random: Random, *, near_limit: bool) -> int:
    """Return a source size in bytes: 1 to 5.9 KB, or 6.1 to 6.45 KB near the limit."""
    low, high = (6.1, 6.45) if near_limit else (1.05, 5.9)
    return int(random.uniform(low, high) * BYTES_A_KB)


def _agents(scale: Scale, start: datetime, now: datetime) -> Iterator[Agent]:
    random = Random(f"{SEED}/agents")
    elders = scale.agents // 2
    births = [start - timedelta(hours=random.uniform(1, 240)) for _ in range(elders)]
    births += [start + (now - start) * random.uniform(0.0, 0.98) for _ in range(scale.agents - elders)]
    near_limit = set(random.sample(range(scale.agents), scale.near_limit_agents))
    for number, born in enumerate(sorted(births)):
        size = wanted_size(random, near_limit=number in near_limit)
        yield make_agent(random, number, size, born, fitness=round(random.uniform(0.5, 0.9), 4))


def _generations(scale: Scale, now: datetime, agents: Sequence[Agent]) -> Iterator[tuple[Evaluation, ...]]:
    random, durations = Random(f"{SEED}/generations"), Random(f"{SEED}/durations")
    births = [agent.created_at for agent in agents]
    ids = [agent.id for agent in agents]
    count = scale.history_days * 24
    mean = _FIRST_MEAN
    for generation in range(1, count + 1):
        moment = now - _LAST_GENERATION_AGE - timedelta(hours=count - generation, seconds=random.uniform(0, 20))
        alive = ids[: bisect_right(births, moment)]
        lasting = timedelta(seconds=durations.uniform(30, 70))
        yield tuple(
            evaluate(
                random,
                alive,
                generation=generation,
                mean=mean,
                count=scale.evaluations,
                moment=moment,
                lasting=lasting,
            )
        )
        mean = next_mean(mean, _DRIFT)


def load_database(connection: psycopg.Connection, story: Story, *, owner: str) -> None:
    """Make the tables as `owner`, fill them, index them, and leave fresh statistics. Needs autocommit and superuser."""
    with connection.transaction():
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(owner)))
        connection.execute((_HERE / "schema.sql").read_bytes())
        _copy(connection, "agents", _agent_rows(story))
        _copy(connection, "agent_versions", _version_rows(story))
        _copy(connection, "evolution_history", _history_rows(story))
        columns = ("agent_id", "generation", "fitness_score", "performance_metrics", "timestamp")
        _copy(connection, "fitness_tracking", _fitness_rows(story), columns)
        _copy(connection, "gene_pool", _gene_rows(story))
        _copy(connection, "evolution_patterns", _pattern_rows(story))
        _copy(connection, "ai_analysis_results", _analysis_rows(story))
        with connection.cursor().copy("COPY metrics (name, value, importance, labels, timestamp) FROM STDIN") as copy:
            for lines in _metric_lines(story):
                copy.write(lines)
        connection.execute((_HERE / "indexes.sql").read_bytes())
    connection.execute("VACUUM (ANALYZE)")


def _copy(
    connection: psycopg.Connection, table: str, rows: Iterator[tuple[Any, ...]], columns: tuple[str, ...] = ()
) -> None:
    names = sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Identifier, columns))) if columns else sql.SQL("")
    statement = sql.SQL("COPY {} {} FROM STDIN").format(sql.Identifier(table), names)
    with connection.cursor().copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def agent_row(agent: Agent) -> tuple[Any, ...]:
    """Return an agent as a row of `agents`, in the order of its columns."""
    return (
        *(agent.id, agent.name, agent.version, agent.size_kb, agent.instantiation_us),
        *(json.dumps(agent.capabilities), json.dumps({"language": "python", "origin": "evolution"})),
        *(agent.fitness, agent.created_at, agent.updated_at),
    )


def history_row(evaluation: Evaluation) -> tuple[Any, ...]:
    """Return an evaluation as a row of `evolution_history`, in the order of its columns."""
    return (
        *(evaluation.id, evaluation.agent_id, evaluation.generation, list(evaluation.parent_ids)),
        *(list(evaluation.mutations), evaluation.fitness, True, evaluation.timestamp),
    )


def _agent_rows(story: Story) -> Iterator[tuple[Any, ...]]:
    return map(agent_row, story.agents)


def _version_rows(story: Story) -> Iterator[tuple[Any, ...]]:
    random = story.chance("versions")
    for agent in story.agents:
        drafts = random.randint(0, 2)
        for number in range(1, drafts + 2):
            last = number == drafts + 1
            code_hash = agent.code_hash if last else random.randbytes(32).hex()
            metrics = json.dumps({"p50_us": round(random.uniform(5, 50), 2), "runs": random.randint(10, 500)})
            changes = ["first version"] if number == 1 else ["smaller", "faster"][: random.randint(1, 2)]
            yield agent.id, number, code_hash, changes, last, metrics, agent.created_at


def _history_rows(story: Story) -> Iterator[tuple[Any, ...]]:
    return (history_row(evaluation) for generation in story.generations for evaluation in generation)


def _fitness_rows(story: Story) -> Iterator[tuple[Any, ...]]:
    random = story.chance("fitness")
    for generation in story.generations:
        for each in generation:
            metrics = f'{{"duration_ms": {random.randint(5, 90)}}}'
            yield each.agent_id, each.generation, each.fitness, metrics, each.timestamp


def _gene_rows(story: Story) -> Iterator[tuple[Any, ...]]:
    random = story.chance("genes")
    for _ in range(story.scale.genes):
        weights = [round(random.random(), 4) for _ in range(random.randint(4, 24))]
        gene = {"weights": weights, "locus": random.randint(1, 99)}
        kind = random.choice(("threshold", "window", "rate", "operator"))
        born = story.now - timedelta(hours=random.uniform(1, story.scale.history_days * 24))
        yield random_uuid(random), kind, json.dumps(gene), round(random.random(), 4), random.randint(0, 200), born


def _pattern_rows(story: Story) -> Iterator[tuple[Any, ...]]:
    random = story.chance("patterns")
    for _ in range(story.scale.patterns):
        pattern = {"steps": random.sample(("select", "cross", "mutate", "prune", "clone"), 3), "gain": random.random()}
        kind = random.choice(("crossover", "mutation", "selection"))
        found = story.now - timedelta(hours=random.uniform(1, story.scale.history_days * 24))
        yield random_uuid(random), kind, json.dumps(pattern), round(random.random(), 4), found


def _analysis_rows(story: Story) -> Iterator[tuple[Any, ...]]:
    random = story.chance("analyses")
    for agent in story.agents:
        analysis = {"summary": f"{agent.name} does one thing", "risks": random.sample(("slow", "large", "odd"), 1)}
        yield random_uuid(random), agent.id, json.dumps(analysis), round(random.uniform(0.5, 1), 4), agent.created_at


def _metric_lines(story: Story) -> Iterator[str]:
    """Yield the metrics as text for COPY, ten thousand lines at a time, oldest first."""
    random = story.chance("metrics")
    scale = story.scale
    step = timedelta(days=scale.metrics_days) / scale.metrics
    moment = story.now - timedelta(days=scale.metrics_days)
    levels = random.choices(("low", "normal", "high"), (6, 3, 1), k=scale.metrics)
    for first in range(0, scale.metrics, 10_000):
        lines = []
        for level in levels[first : first + 10_000]:
            moment += step
            chance = random.random()
            names = _METRIC_NAMES[level]
            name = names[int(chance * len(names))]
            labels = f'{{"host": "t-developer-{int(chance * 1000) % 3 + 1}"}}'
            lines.append(f"{name}\t{chance * 100:.3f}\t{level}\t{labels}\t{moment.isoformat()}\n")
        yield "".join(lines)
