"""What back-ups report, by name: for `[[silences]]` and `[[out_of_scope]]`, and for whoever reads a report."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from tdev_operators.core.verdicts import CheckResult, OutOfScope

if TYPE_CHECKING:
    from tdev_operators.core.settings import Settings

ABOUT = {
    "backup.set": "what the set holds, how long it took, its recovery point",
    "backup.size": "sizes against the median of the last ten sets",
    "backup.requests": "requests to the object store and their list price",
    "backup.protection": "what guards the bucket of the sets, and rules that would expire them",
    "backup.ledger": "whether the audit trail is in the set",
    "backup.provable_*": "whether the scratch server has what a database needs",
    "backup.bucket_*": "the snapshot of a bucket: what was stored, referred to, read again",
    "backup.references": "whether what the database refers to is in the set",
    "backup.tonight": "whether tonight's set is there",
    "backup.readable": "whether every byte that the set wrote can be read back",
    "backup.proven": "whether what was restored is equal to the source at the snapshot",
    "backup.verifier": "whether the verifier noticed the mutant that it was fed",
    "backup.locks": "whether what the set refers to stays under Object Lock",
    "backup.retention": "what the keep rules let go",
    "backup.recovery_point": "how much would be lost if the database went now",
}
# The others say whether there is a back-up at all; a system that does not want to know needs no back-ups.
OPTIONAL = frozenset({"backup.size", "backup.requests", "backup.protection"})


def is_named(pattern: str) -> bool:
    """Whether a name of the settings, exact or `backup.*`, means something that back-ups report."""
    return pattern == "backup.*" or any(fnmatchcase(pattern, name) for name in ABOUT)


def in_scope(
    results: Iterable[CheckResult], settings: "Settings"
) -> tuple[tuple[CheckResult, ...], tuple[OutOfScope, ...]]:
    """Part results into those that count and those that `[[out_of_scope]]` switched off, with the reason."""
    off = {entry.check: entry for entry in settings.out_of_scope if entry.check in OPTIONAL}
    found = tuple(results)
    return (
        tuple(result for result in found if result.check not in off),
        tuple(
            OutOfScope(result.check, off[result.check].reason, off[result.check].owner)
            for result in found
            if result.check in off
        ),
    )
