"""The rules of controls, one file each, registered by being there.

A module has a docstring whose first line says what passes, and `evaluate(control, ground)`, which returns an
`Evaluation` and may raise a TdevError.
"""

import importlib
import pkgutil
from functools import cache

from tdev_operators.core.compliance.ground import Rule


@cache
def all_rules() -> dict[str, Rule]:
    """Return every rule by name. Imports them at the first call."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__))
    modules = {name: importlib.import_module(f"{__package__}.{name}") for name in names}
    return {
        name: Rule(name, (module.__doc__ or "").partition("\n")[0], module.evaluate) for name, module in modules.items()
    }
