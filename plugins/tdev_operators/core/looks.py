"""Looks: one file each, registered by being there, none able to stop the others.

A look's module has a docstring (its first line says what it is about), `HINT` (what to do when it is not OK) and
`look(subject)`; a `CAUSE` names the look that says why this one cannot judge.
"""

import importlib
import logging
import pkgutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Generic, TypeVar

from tdev_operators.core.errors import TdevError, sentence_of
from tdev_operators.core.scope import parted
from tdev_operators.core.verdicts import CheckResult, OutOfScope, Verdict

if TYPE_CHECKING:
    from tdev_operators.core.settings import Settings

S = TypeVar("S")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Look(Generic[S]):
    """One look at a subject. `cause` is the look that says why this one cannot judge, when its figures are missing."""

    name: str
    about: str
    hint: str
    run: Callable[[S], CheckResult]
    cause: str = ""


def looks_in(package: str, folders: Iterable[str], area: str) -> tuple[Look[S], ...]:
    """Return every look of a package by name: `<area>.<file>`. Imports them."""
    found = sorted(info.name for info in pkgutil.iter_modules(folders))
    return tuple(_registered(importlib.import_module(f"{package}.{name}"), area) for name in found)


def looked(look: Look[S], subject: S) -> CheckResult:
    """Take a look; one that raises is UNKNOWN and says why."""
    begun = time.monotonic()
    try:
        result = look.run(subject)
    except Exception as error:  # noqa: BLE001  the boundary: whatever a look raises, the others go on
        cause = look.cause if isinstance(error, TdevError) else ""
        sentence = f"Could not look: {sentence_of(error, look.name, _log)}"
        result = CheckResult(look.name, Verdict.UNKNOWN, sentence, because_of=cause)
    return replace(result, hint=result.hint or look.hint).timed(time.monotonic() - begun)


def take_all(
    looks: Sequence[Look[S]], subject: S, settings: "Settings", progress: Callable[[str], object]
) -> tuple[list[CheckResult], tuple[OutOfScope, ...]]:
    """Take every look that `[[out_of_scope]]` leaves, and tell each; return their results, and what is switched off."""
    wanted, out_of_scope = parted([look.name for look in looks], settings)
    results = []
    for look in looks:
        if look.name in wanted:
            results.append(looked(look, subject))
            progress(told(results[-1]))
    return results, out_of_scope


def told(result: CheckResult) -> str:
    """Return a result as a line of progress."""
    return f"{result.verdict:8} {result.check} ({result.duration_seconds:.2f} s): {result.summary}"


def with_causes(
    results: Sequence[CheckResult], explains: Callable[[CheckResult, CheckResult], bool] = lambda _cause, _result: True
) -> tuple[CheckResult, ...]:
    """Drop a cause that is not red itself, is none of the results, or does not explain one: it speaks for itself then.

    `explains` is given the cause and the result that names it; as it stands, every red cause explains.
    """
    by_name = {result.check: result for result in results}

    def settled(result: CheckResult) -> CheckResult:
        cause = by_name.get(result.because_of)
        holds = cause is not None and cause is not result and cause.verdict.is_red and explains(cause, result)
        return result if holds else replace(result, because_of="")

    return tuple(settled(result) if result.because_of else result for result in results)


def _registered(module: ModuleType, area: str) -> Look[S]:
    return Look(
        name=f"{area}.{module.__name__.rpartition('.')[2]}",
        about=(module.__doc__ or "").partition("\n")[0],
        hint=module.HINT,
        run=module.look,
        cause=getattr(module, "CAUSE", ""),
    )
