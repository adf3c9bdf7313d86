"""T-Developer's tables in a fresh database."""

import pytest


@pytest.fixture
def history(arena, t_developer_schema):
    """Return the arena with T-Developer's tables and two agents."""
    arena.run(
        t_developer_schema,
        "INSERT INTO agents (id, name, version, size_kb, instantiation_us, fitness_score) VALUES "
        "('00000000-0000-0000-0000-000000000001', 'alpha', '1.0.0', 2, 1, 0.5), "
        "('00000000-0000-0000-0000-000000000002', 'beta', '1.0.0', 2, 1, 0.5)",
    )
    return arena


ROWS = """
    INSERT INTO evolution_history (id, agent_id, generation, fitness_score, constraints_met, timestamp)
    SELECT gen_random_uuid(), agents.id, generation, {fitness}, {met},
        now() - (24 - generation + {shift}) * interval '1 hour'
    FROM generate_series(1, 24) AS generation, agents
"""


@pytest.fixture
def tell():
    """Return a maker of 24 generations, one an hour: `fitness` and `met` are SQL over `generation` and `name`."""
    return lambda fitness="0.5", met="true", shift=0.1: ROWS.format(fitness=fitness, met=met, shift=shift)
