"""A confinement that stays up, and agents that are made for it."""

import pytest

from tdev_operators.core.agents.ladder import Goal
from tdev_operators.core.agents.worker import house_of
from tdev_operators.core.settings import load_settings
from tdev_operators.core.sql import include_dir

SHIPPED = load_settings(include_dir() / "tdev.toml").agents.optimiser
EVERY_PASS = Goal(0.001, 6.5, 3.0)  # no source is ever this small, so every pass is tried


def rules_with(**values):
    within = {"cpu_seconds": 2, "wall_seconds": 4.0, **values.pop("confinement", {})}
    return SHIPPED.model_copy(
        update={"calls": 24, "confinement": SHIPPED.confinement.model_copy(update=within), **values}
    )


RULES = rules_with()


@pytest.fixture(scope="module")
def house():
    with house_of(RULES) as opened:
        yield opened
