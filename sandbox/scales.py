"""How much a seeded T-Developer holds."""

from dataclasses import dataclass
from typing import Literal

ScaleName = Literal["full", "small"]

CHECKPOINT_EVERY = 10  # generations


@dataclass(frozen=True, slots=True)
class Scale:
    """Figures of one size of sandbox. A generation is an hour."""

    agents: int
    near_limit_agents: int
    history_days: int
    evaluations: int
    metrics: int
    metrics_days: int
    log_days: int
    log_lines_a_day: int
    genes: int
    patterns: int


SCALES: dict[ScaleName, Scale] = {
    "full": Scale(
        agents=300,
        near_limit_agents=9,
        history_days=42,
        evaluations=50,
        metrics=500_000,
        metrics_days=120,
        log_days=10,
        log_lines_a_day=2_000,
        genes=2_000,
        patterns=400,
    ),
    "small": Scale(
        agents=40,
        near_limit_agents=2,
        history_days=8,
        evaluations=10,
        metrics=5_000,
        metrics_days=120,
        log_days=10,
        log_lines_a_day=200,
        genes=100,
        patterns=40,
    ),
}
