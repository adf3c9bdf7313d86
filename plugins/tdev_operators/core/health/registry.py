"""Which checks there are: every module in the six area packages, registered by being there.

A check's module has a docstring whose first line says what it is about, `NEEDS` (the targets it looks at), `HINT`
(what to do when it is not OK), `check(system, settings)`, and `DOUBTFUL = True` when it samples one moment only.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

from tdev_operators.core.agents import check_names as agents
from tdev_operators.core.application import looks as application
from tdev_operators.core.backup import check_names as backup
from tdev_operators.core.certificates import check_names as certificates
from tdev_operators.core.compliance import check_names as compliance
from tdev_operators.core.database import check_names as database
from tdev_operators.core.errors import SettingsError
from tdev_operators.core.evolution.recovery import check_names as evolution_recovery
from tdev_operators.core.evolution.review import looks as review
from tdev_operators.core.logs import check_names as logs
from tdev_operators.core.memory import check_names as memory
from tdev_operators.core.scope import covers
from tdev_operators.core.security import check_names as security
from tdev_operators.core.verdicts import CheckResult

if TYPE_CHECKING:
    from tdev_operators.core.ports import SystemPorts
    from tdev_operators.core.settings import Settings

# What other items than the health check report.
_NAMED = (
    *(agents.is_named, application.is_named, certificates.is_named, compliance.is_named, database.is_named),
    *(evolution_recovery.is_named, logs.is_named, memory.is_named, review.is_named, security.is_named),
)
AREAS = ("infrastructure", "evolution", "agents", "database", "api", "security")

# The check that says whether a target can be reached at all: the root cause when others could not look.
REACHABILITY = {
    "database": "database.reachable",
    "objects": "infrastructure.object_store",
    "api": "api.reachable",
    "hosts": "infrastructure.hosts_reachable",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One check of the health check."""

    name: str
    about: str
    needs: tuple[str, ...]
    hint: str
    run: "Callable[[SystemPorts, Settings], CheckResult]"
    doubtful: bool = False


def check_name(module: str) -> str:
    """Return the name of the check in a module: `database.dead_tuples` for `...health.database.dead_tuples`."""
    return ".".join(module.split(".")[-2:])


@cache
def all_checks() -> tuple[Check, ...]:
    """Return every check, in the order of the areas and then by name. Imports them at the first call."""
    return tuple(_registered(module) for module in _modules())


def refuse_unknown_names(settings: "Settings", known: Iterable[str]) -> None:
    """Refuse `[[out_of_scope]]` and `[[silences]]` entries that match no check: they would silently do nothing.

    Raises:
        SettingsError: one sentence an entry.
    """
    names = (*known, *logs.names_of(settings))
    switched_off = [entry.check for entry in settings.out_of_scope]
    wrong = [
        f"{table}: no check is named {pattern!r}; write a check's name (database.dead_tuples) or an area (database.*)."
        for table, patterns, others in (
            ("out_of_scope", switched_off, backup.OPTIONAL.__contains__),
            ("silences", [entry.check for entry in settings.silences], backup.is_named),
        )
        for pattern in patterns
        if not any(covers(pattern, name) for name in names) and not any(named(pattern) for named in (others, *_NAMED))
    ]
    if wrong:
        raise SettingsError("\n".join(wrong))


def _modules() -> Iterator[ModuleType]:
    for area in AREAS:
        package = importlib.import_module(f"{__package__}.{area}")
        for found in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
            yield importlib.import_module(f"{package.__name__}.{found.name}")


def _registered(module: ModuleType) -> Check:
    return Check(
        name=check_name(module.__name__),
        about=(module.__doc__ or "").partition("\n")[0],
        needs=module.NEEDS,
        hint=module.HINT,
        run=module.check,
        doubtful=getattr(module, "DOUBTFUL", False),
    )
