"""Comments and whitespace go; what is compiled stays the same to the last opcode.

The guide has no such pass. It stands before the names because it is the only one with a whole proof, and mostly enough:
a quarter of a source is whitespace and comments.
"""

from tdev_operators.core.agents.minifier import shortened
from tdev_operators.core.agents.settings import OptimiserSettings
from tdev_operators.core.agents.source_rules import parsed, same_code, same_tree


def apply(source: str, rules: OptimiserSettings) -> str:  # noqa: ARG001  every pass is given them
    """Return the source as short as its tree can be written."""
    return shortened(source)


def difference(before: str, after: str) -> str:
    """Return what differs; nothing may."""
    old, new = parsed(before), parsed(after)
    if not same_tree(old, new):
        return "the tree changed"
    return "" if same_code(old, new) else "what it compiles to changed"


def probe() -> None:
    """Try python-minifier."""
    shortened("x = 1\n")
