"""How T-Developer's population moves: the same rules for the seed and for the running engine."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

MUTATIONS = ("gene_swap", "rate_up", "rate_down", "limb_added", "limb_dropped", "constant_shift", "loop_unrolled")

_SPREAD = 0.03
_CEILING = 0.97
_GENES = 240


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One agent's result in one generation: a row of `evolution_history`."""

    id: UUID
    agent_id: UUID
    generation: int
    parent_ids: tuple[UUID, ...]
    mutations: tuple[str, ...]
    fitness: float
    timestamp: datetime


def random_uuid(random: Random) -> UUID:
    """Return a version 4 UUID from this source of chance."""
    return UUID(int=random.getrandbits(128), version=4)


def next_mean(mean: float, drift: float) -> float:
    """Return the next generation's mean fitness: a positive drift closes in on a ceiling, a negative one shrinks it."""
    return mean + (_CEILING - mean) * drift if drift >= 0 else mean * (1 + drift)


def evaluate(
    random: Random,
    agents: Sequence[UUID],
    *,
    generation: int,
    mean: float,
    count: int,
    moment: datetime,
    lasting: timedelta,
) -> list[Evaluation]:
    """Return `count` evaluations of different agents whose mean fitness is `mean` to within 0.0015.

    The last of them ends at `moment`; all together last so long.
    """
    chosen = random.sample(agents, min(count, len(agents)))
    noise = [random.gauss(0.0, _SPREAD) for _ in chosen]
    centre = sum(noise) / len(noise) + random.uniform(-0.0015, 0.0015)
    return [
        Evaluation(
            id=random_uuid(random),
            agent_id=agent,
            generation=generation,
            parent_ids=tuple(random.sample(agents, 2)),
            mutations=tuple(random.sample(MUTATIONS, random.randint(0, 2))),
            fitness=round(min(1.0, max(0.0, mean + shift - centre)), 4),
            timestamp=moment - lasting * (1 - place / len(chosen)),
        )
        for place, (agent, shift) in enumerate(zip(chosen, noise, strict=True), start=1)
    ]


def checkpoint_key(generation: int) -> str:
    """Return the key of a generation's checkpoint in its bucket: `checkpoint_gen0010.json`."""
    return f"checkpoint_gen{generation:04}.json"


def checkpoint(random: Random, evaluations: Sequence[Evaluation]) -> bytes:
    """Return a checkpoint (JSON): generation, timestamp, population with genomes, best genome."""
    population: list[dict[str, Any]] = [
        {
            "agent_id": str(each.agent_id),
            "fitness": each.fitness,
            "mutations": each.mutations,
            "genome": [round(random.random(), 4) for _ in range(_GENES)],
        }
        for each in evaluations
    ]
    best = max(population, key=lambda member: member["fitness"])
    document = {
        "generation": evaluations[0].generation,
        "timestamp": evaluations[-1].timestamp.isoformat(),
        "best_genome": best,
        "population": population,
    }
    return json.dumps(document).encode()
