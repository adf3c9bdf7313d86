"""The application's looks: one file each, registered by being there as `performance.<file>`: see `core.looks`."""

import pkgutil
from functools import cache
from typing import TYPE_CHECKING

from tdev_operators.core.looks import Look, looks_in

if TYPE_CHECKING:
    from tdev_operators.core.application.day import ApplicationDay

_AREA = "performance"


@cache
def all_looks() -> "tuple[Look[ApplicationDay], ...]":
    """Return every look, by name. Imports them at the first call."""
    return looks_in(__name__, __path__, _AREA)


def is_named(pattern: str) -> bool:
    """Whether a name of the settings means one of them."""
    return pattern in {f"{_AREA}.{found.name}" for found in pkgutil.iter_modules(__path__)}
