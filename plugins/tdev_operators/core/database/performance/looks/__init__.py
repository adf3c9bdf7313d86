"""The looks of the daily analysis: one file each, registered by being there as `performance.<file>`."""

from functools import cache

from tdev_operators.core.database.performance.day import Day
from tdev_operators.core.looks import Look, looks_in


@cache
def all_looks() -> tuple[Look[Day], ...]:
    """Return every look, by name. Imports them at the first call."""
    return looks_in(__name__, __path__, "performance")
