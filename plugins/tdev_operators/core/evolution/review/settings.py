"""`[evolution.review]`: what the daily review looks at, and against which figures it holds that."""

from typing import Annotated

from pydantic import Field

from tdev_operators.core.setting_types import (
    Ceiling,
    Count,
    Days,
    Floor,
    Percent,
    PercentFloor,
    Section,
    Text,
)


class ImprovementFloor(Floor):
    """Limits of the improvement a generation, in percent: it may well be a fraction of one."""


class EvolutionReviewSettings(Section):
    """`[evolution.review]`: see docs/evolution.md for the methods."""

    days: Annotated[Days, Field(ge=8, le=90)]
    minimum_generations: Annotated[int, Field(ge=6)]
    confidence_percent: Annotated[float, Field(ge=80, le=99.9)]
    made_percent: PercentFloor
    duration_percent: Ceiling
    duration_times: Ceiling
    change_minimum: Annotated[float, Field(gt=0, le=1)]
    change_days: Days
    improvement_percent: ImprovementFloor
    diversity_percent: PercentFloor
    diversity_loss_percent: Ceiling
    mutation_minimum: Count
    mutation_loss: Ceiling
    cost_key: Text
    cost_unit: str
    cost_times: Ceiling
    known_percent: Percent
