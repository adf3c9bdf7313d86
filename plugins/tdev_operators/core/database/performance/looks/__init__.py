"""The looks of the daily analysis: one file each, registered by being there.

A look's module has a docstring (its first line says what it is about), `HINT` (what to do when it is not OK) and
`look(day)`. Its name is `performance.<file>`.
"""

import importlib
import pkgutil
from functools import cache
from types import ModuleType

from tdev_operators.core.database.performance.day import Look


@cache
def all_looks() -> tuple[Look, ...]:
    """Return every look, by name. Imports them at the first call."""
    found = sorted(info.name for info in pkgutil.iter_modules(__path__))
    return tuple(_registered(importlib.import_module(f"{__name__}.{name}")) for name in found)


def _registered(module: ModuleType) -> Look:
    return Look(
        name=f"performance.{module.__name__.rpartition('.')[2]}",
        about=(module.__doc__ or "").partition("\n")[0],
        hint=module.HINT,
        run=module.look,
        cause=getattr(module, "CAUSE", ""),
    )
