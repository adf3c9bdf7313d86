"""The looks of the review: one file each, registered by being there as `generations.<file>`: see `core.looks`."""

import pkgutil
from functools import cache
from typing import TYPE_CHECKING

from tdev_operators.core.looks import Look, looks_in

if TYPE_CHECKING:
    from tdev_operators.core.evolution.review.reading import Review

_AREA = "generations"


@cache
def all_looks() -> "tuple[Look[Review], ...]":
    """Return every look, by name. Imports them, and the statistics that they need, at the first call."""
    return looks_in(__name__, __path__, _AREA)


def is_named(pattern: str) -> bool:
    """Whether a name of the settings, exact or `generations.*`, means one of them."""
    return pattern == f"{_AREA}.*" or pattern in {f"{_AREA}.{found.name}" for found in pkgutil.iter_modules(__path__)}
