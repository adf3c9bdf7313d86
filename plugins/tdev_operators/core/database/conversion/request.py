"""What a person asks for: a table converted, the way back, or the end of the way back."""

from dataclasses import dataclass
from typing import Literal

from tdev_operators.core.database.retention.settings import PartitionRule, RetentionRule
from tdev_operators.core.errors import InputError
from tdev_operators.core.settings import Settings

Action = Literal["convert", "undo", "drop"]


@dataclass(frozen=True, slots=True)
class ConversionRequest:
    """One run. `table` (`public.metrics`) may be empty where only one rule has partitions; `now`: window or not."""

    run_id: str
    table: str = ""
    action: Action = "convert"
    now: bool = False
    dry_run: bool = False


def rule_of(settings: Settings, request: ConversionRequest) -> tuple[RetentionRule, PartitionRule]:
    """Return the rule that is asked for.

    Raises:
        InputError: none, or more than one, fits.
    """
    wanted = [rule for rule in settings.retention.rules if rule.partitions is not None]
    found = [rule for rule in wanted if request.table in ("", rule.name)]
    if len(found) != 1 or found[0].partitions is None:
        names = ", ".join(rule.name for rule in wanted) or "none"
        raise InputError(f"Say which table is meant; [retention.rules.partitions] is there for: {names}.")
    return found[0], found[0].partitions
