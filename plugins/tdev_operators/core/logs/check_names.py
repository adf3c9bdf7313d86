"""What the analysis and the rotation of logs report, by name: for `[[silences]]` and `[[out_of_scope]]`."""

from typing import TYPE_CHECKING

from tdev_operators.core.scope import parted
from tdev_operators.core.verdicts import OutOfScope

if TYPE_CHECKING:
    from tdev_operators.core.settings import Settings

AREA = "logs."
READING, NEW_SHAPES, ROTATION, INSTALLED = "logs.reading", "logs.new_shapes", "logs.rotation", "logs.installed"
# Each of `[[logs.patterns]]` has a result of its own name.
ABOUT = {
    READING: "which logs were read, how much of them, how old that is, and whether each planted line was counted",
    NEW_SHAPES: "messages of level WARNING and worse whose shape was never seen before",
    ROTATION: "whether each log was really rotated: packed, mode and owner right, the service writing into the new one",
    INSTALLED: "what `tdev_install_log_rotation` put on the hosts, proven or taken back",
}


def name_of(pattern: str) -> str:
    """Return the name of a pattern's result."""
    return f"{AREA}{pattern}"


def is_named(pattern: str) -> bool:
    """Whether a name of the settings means something that is reported here whatever patterns there are."""
    return pattern in ABOUT or pattern == f"{AREA}*"


def names_of(settings: "Settings") -> tuple[str, ...]:
    """Return the names of all results of an analysis, in their order."""
    return (READING, *(name_of(pattern.name) for pattern in settings.logs.patterns), NEW_SHAPES, ROTATION)


def wanted_of(settings: "Settings") -> tuple[frozenset[str], tuple[OutOfScope, ...]]:
    """Part the names of an analysis into those that count and those that `[[out_of_scope]]` switches off."""
    return parted(names_of(settings), settings)
