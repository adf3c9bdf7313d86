"""Local names become short ones; parameters, functions, classes and everything outside of functions keep theirs.

Proven by walking both trees side by side: wherever a name differs, Python's own symbol table must say that both are
locals of the same function, and always the same two.
"""

from tdev_operators.core.agents.local_names import renamed_otherwise
from tdev_operators.core.agents.minifier import shortened, told_names
from tdev_operators.core.agents.settings import OptimiserSettings
from tdev_operators.core.agents.source_rules import NAME_TRICKS, parsed, trick_in
from tdev_operators.core.errors import ProofFailedError


def apply(source: str, rules: OptimiserSettings) -> str:  # noqa: ARG001  every pass is given them
    """Return the source with short local names."""
    tree = parsed(source)
    if trick := trick_in(tree, NAME_TRICKS):
        raise ProofFailedError(f"it reaches names by {trick}, so no local name may change")
    return shortened(source, locals_but=told_names(tree))


def difference(before: str, after: str) -> str:
    """Return what else than local names differs."""
    return renamed_otherwise(before, after)


def probe() -> None:
    """Try python-minifier."""
    shortened("x = 1\n")
