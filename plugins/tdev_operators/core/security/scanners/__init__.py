"""The scanners, one file each, registered by being there.

A module has a docstring whose first line says what it looks for, `SCANS` (kinds of targets), `INSTALL` (how it gets
onto a worker), `CANARY` (files to plant: their text, and the rules that must be found in them), `learn(ground)` (the
program's version, the age of its data), `work(target, ground)`, `LIVE = True` when it asks a service, and `KEYS`, the
secrets that it gets.
"""

import importlib
import pkgutil
from functools import cache

from tdev_operators.core.security.scanning import Scanner


@cache
def all_scanners() -> tuple[Scanner, ...]:
    """Return every scanner by name. Imports them at the first call."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__package__}.{name}") for name in names]
    return tuple(
        Scanner(
            name=module.__name__.rpartition(".")[2],
            about=(module.__doc__ or "").partition("\n")[0],
            scans=module.SCANS,
            install=module.INSTALL,
            canary=module.CANARY,
            learn=module.learn,
            work=module.work,
            live=getattr(module, "LIVE", False),
            keys=getattr(module, "KEYS", ()),
        )
        for module in modules
    )
