"""Which checkpoint the evolution may go on from: the newest that is whole and no stranger, in bounded reads."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tdev_operators.core.errors import TdevError
from tdev_operators.core.evolution.recovery.settings import EvolutionRecoverySettings
from tdev_operators.core.health.side_by_side import side_by_side
from tdev_operators.core.ports import ObjectInfo, ObjectStore

_MB = 1_000_000
_AT_ONCE = 4  # each is up to checkpoint_max_mb in memory, and several times that as JSON
_CLOCK_SLACK = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint, and why it cannot be used; empty when it can."""

    key: str
    generation: int
    size_bytes: int
    modified: datetime
    fault: str = ""

    @property
    def line(self) -> str:
        """It as a line for people."""
        return (
            f"{self.key}  {self.size_bytes / _MB:.2f} MB  {self.modified:%Y-%m-%d %H:%M} UTC  {self.fault or 'valid'}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types only."""
        return {
            "key": self.key,
            "generation": self.generation,
            "size_bytes": self.size_bytes,
            "modified": self.modified.isoformat(),
            "fault": self.fault,
        }


def look_at_checkpoints(
    store: ObjectStore, bucket: str, rules: EvolutionRecoverySettings, highest: int | None
) -> list[Checkpoint]:
    """Return the newest checkpoints, the newest first, each read and judged.

    `highest` is the database's highest generation: a checkpoint beyond it is from the future. None: nobody knows.

    Raises what `ObjectStore.list` raises. A single checkpoint that cannot be read has that as its fault.
    """
    found: list[tuple[int, ObjectInfo]] = []
    for info in store.list(bucket, rules.checkpoint_prefix):
        number = rules.generation_of(info.key)
        if number is not None:
            found.append((number, info))
    found.sort(key=lambda one: (one[0], one[1].key), reverse=True)
    newest = found[: rules.checkpoints_read]
    if not newest:
        return []
    now = store.server_time()

    def judged(number: int, info: ObjectInfo) -> str:
        fault = fault_of_facts(rules, number, info, highest, now)
        if fault:
            return fault
        body = store.read(bucket, info.key, max_bytes=int(rules.checkpoint_max_mb * _MB))
        unknown = "nobody knows the database's highest generation" if highest is None else ""
        return fault_of_body(rules, number, body) or unknown

    answers = side_by_side(
        {info.key: lambda number=number, info=info: judged(number, info) for number, info in newest},  # type: ignore[misc]
        at_most=_AT_ONCE,
    )
    return [
        Checkpoint(info.key, number, info.size_bytes, info.modified, _said(answers[info.key]))
        for number, info in newest
    ]


def usable(checkpoints: Sequence[Checkpoint]) -> list[Checkpoint]:
    """Return those from which the evolution may go on, the newest first."""
    return [one for one in checkpoints if not one.fault]


def fault_of_facts(
    rules: EvolutionRecoverySettings, number: int, info: ObjectInfo, highest: int | None, now: datetime
) -> str:
    """Say what is wrong with a checkpoint before it is read; empty when nothing is."""
    if info.size_bytes == 0:
        return "it is empty"
    if info.size_bytes > rules.checkpoint_max_mb * _MB:
        return f"it has more than {rules.checkpoint_max_mb:g} MB"
    if highest is not None and number > highest + rules.checkpoint_lead_generations:
        return f"it is from the future: the database's highest generation is {highest}"
    if info.modified > now + _CLOCK_SLACK:
        return f"it is from the future: written {info.modified:%Y-%m-%d %H:%M} UTC by the store's clock"
    return ""


def fault_of_body(rules: EvolutionRecoverySettings, number: int, body: bytes) -> str:
    """Say what is wrong with a checkpoint's content; empty when nothing is."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return "it is no JSON: truncated, or overwritten"
    if not isinstance(told, dict):
        return f"it is a JSON {type(told).__name__} and no object"
    generation = told.get(rules.checkpoint_generation)
    if not isinstance(generation, int) or isinstance(generation, bool):
        return f"it says no {rules.checkpoint_generation}"
    if generation != number:
        return f"its key says generation {number} and its content {generation}"
    lacking = [key for key in rules.checkpoint_required if not told.get(key)]
    return f"it has no {', '.join(lacking)}" if lacking else ""


def _said(answer: "str | TdevError") -> str:
    return f"it could not be read: {answer}" if isinstance(answer, TdevError) else answer
