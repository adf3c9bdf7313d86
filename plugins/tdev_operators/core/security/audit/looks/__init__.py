"""The audit's looks, one file each, registered by being there.

A module has a docstring whose first line says what it looks at, `AGAINST` ("accepted", "last week" or ""), `HINT`, and
`look(ports, settings, at)`, which returns a `Looked` and may raise a TdevError. The settings are those of the whole.
"""

import importlib
import pkgutil
from functools import cache

from tdev_operators.core.security.audit.looking import AuditLook


@cache
def all_looks() -> tuple[AuditLook, ...]:
    """Return every look by name. Imports them at the first call."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__package__}.{name}") for name in names]
    return tuple(
        AuditLook(
            name=f"audit.{module.__name__.rpartition('.')[2]}",
            about=(module.__doc__ or "").partition("\n")[0],
            against=module.AGAINST,
            hint=module.HINT,
            look=module.look,
        )
        for module in modules
    )
