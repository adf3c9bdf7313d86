"""The passes: each a file here, registered by being there.

A pass's module has a docstring whose first line says what it does, `apply(source, rules)`, which returns the changed
source or raises a ProofFailedError with the reason why this agent cannot have it, and `difference(before, after)`,
which says what else than it may differ between the two; empty when nothing does. One that is made of more than Python
has `probe()`, which applies that to something and raises where it is missing.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tdev_operators.core.agents.settings import OptimiserSettings


@dataclass(frozen=True, slots=True)
class Pass:
    """One way to make an agent smaller."""

    name: str
    about: str
    apply: "Callable[[str, OptimiserSettings], str]"
    difference: Callable[[str, str], str]
    probe: Callable[[], object] = lambda: None

    def lacks(self) -> str:
        """Return why it cannot be applied on this machine; empty when it can."""
        try:
            self.probe()
        except Exception as error:  # noqa: BLE001  whatever a library that is half there raises
            return f"{type(error).__name__}: {error}".rstrip(".")[:200]
        return ""


def pass_names() -> tuple[str, ...]:
    """Return the names of all passes, without importing them."""
    return tuple(sorted(found.name for found in pkgutil.iter_modules(__path__)))


@cache
def pass_of(name: str) -> Pass:
    """Return one by its name; what it is built of is imported now."""
    module = importlib.import_module(f"{__name__}.{name}")
    about = (module.__doc__ or "").partition("\n")[0]
    return Pass(name, about, module.apply, module.difference, getattr(module, "probe", lambda: None))
