"""For the tests of daily analysis and capacity: a ledger in memory, settings that differ, days made up of samples."""

from datetime import datetime, timedelta
from typing import Any

from tdev_operators.core.database.performance.day import Day
from tdev_operators.core.database.performance.sampling import Taken, Told
from tdev_operators.core.errors import SetupMissingError
from tdev_operators.core.ledger import Sample
from tdev_operators.core.settings import Settings, load_settings
from tdev_operators.core.sql import include_dir
from tests.records import NOON

DAY = timedelta(days=1)


class MemoryLedger:
    """Keeps samples as the ledger does; nothing while it is down."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[datetime, Sample]] = {}
        self.down = False

    def keep_sample(self, system: str, kind: str, sample: Sample) -> None:
        if not self.down:
            self.kept.setdefault(kind, {}).setdefault(sample.taken_at, sample)

    def samples(self, system: str, kind: str, since: datetime, at_most: int | None = None) -> list[Sample] | None:
        if self.down:
            return None
        found = sorted(self.kept.get(kind, {}).values(), key=lambda sample: sample.taken_at)
        found = [sample for sample in found if sample.taken_at >= since]
        return found if at_most is None else found[-at_most:]


def shipped(out_of_scope: tuple[Any, ...] = (), **tables: dict[str, Any]) -> Settings:
    """Return the shipped settings with changes in some tables: `shipped(performance={"shown": 3})`."""
    settings = load_settings(include_dir() / "tdev.toml")
    changes = {name: getattr(settings, name).model_copy(update=values) for name, values in tables.items()}
    return settings.model_copy(update={**changes, "out_of_scope": out_of_scope})


def day_of(
    kind: str, today: Any, *before: dict[str, Any], system: Any = None, days_ago: tuple[float, ...] = (), **tables: Any
) -> Day:
    """Return a day with one kind of sample: today's facts (or an error), and those of the days before, newest last."""
    ages = days_ago or tuple(range(len(before), 0, -1))
    history = [Sample(NOON - age * DAY, facts) for age, facts in zip(ages, before, strict=True)]
    missing = SetupMissingError("app keeps no statement statistics: do it.")
    taken = {"statements": missing, kind: today if isinstance(today, Exception) else Sample(NOON, today)}
    told = {key: Told("t_developer", f"SELECT {key}") for key in ("1:10:t", "2:10:t", "3:10:t")}
    return Day(system, shipped(**tables), Taken(NOON, taken, told, "PostgreSQL 18.0"), {kind: history})


def statements(
    costs: dict[str, tuple[Any, ...]],
    *,
    reset: datetime | None = None,
    evictions: int = 0,
    floor_ms: float | None = None,
) -> dict[str, Any]:
    """Return the facts of a sample of statements: key -> calls, milliseconds[, temporary bytes[, since]]."""
    began = reset or NOON - 400 * DAY
    return {
        "reset": began.isoformat(),
        "evictions": evictions,
        "room": "5000",
        "recorded": len(costs),
        "floor_ms": floor_ms,
        "statements": {key: [*cost, *(0.0, None)[len(cost) - 2 :]] for key, cost in costs.items()},
    }
