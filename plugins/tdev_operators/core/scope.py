"""What `[[out_of_scope]]` switches off: the one rule for every item's results."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tdev_operators.core.verdicts import CheckResult, OutOfScope

if TYPE_CHECKING:
    from tdev_operators.core.settings import Settings


def covers(pattern: str, check: str) -> bool:
    """Whether a name of the settings, exact or `area.*`, means this check."""
    area, _, rest = pattern.partition(".")
    return pattern == check or (rest == "*" and check.startswith(f"{area}."))


def parted(names: Iterable[str], settings: "Settings") -> tuple[frozenset[str], tuple[OutOfScope, ...]]:
    """Part names into those that count and those that `[[out_of_scope]]` switches off, with the reason."""
    wanted, off = [], []
    for name in names:
        entry = next((entry for entry in settings.out_of_scope if covers(entry.check, name)), None)
        if entry is None:
            wanted.append(name)
        else:
            off.append(OutOfScope(name, entry.reason, entry.owner))
    return frozenset(wanted), tuple(off)


def in_scope(
    results: Iterable[CheckResult], settings: "Settings"
) -> tuple[tuple[CheckResult, ...], tuple[OutOfScope, ...]]:
    """Part results into those that count and those that `[[out_of_scope]]` switches off, with the reason."""
    found = tuple(results)
    wanted, off = parted([result.check for result in found], settings)
    return tuple(result for result in found if result.check in wanted), off
