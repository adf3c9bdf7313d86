"""An item of the maintenance calendar in one run of its tier: how it is named, and how it ended."""

from dataclasses import dataclass
from datetime import datetime

from tdev_operators.core.verdicts import CheckResult, OutOfScope, Verdict, worst


@dataclass(frozen=True, slots=True)
class ItemRef:
    """One item in one run: `ItemRef("daily", "tdev_daily", "scheduled__2026-11-23T09:00:00+00:00", "health_check")`."""

    tier: str
    dag_id: str
    run_id: str
    item: str


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    """What an item found, and when it ran (aware, UTC)."""

    results: tuple[CheckResult, ...]
    started_at: datetime
    ended_at: datetime
    out_of_scope: tuple[OutOfScope, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst verdict; UNKNOWN when nothing was checked."""
        return worst(result.verdict for result in self.results)
