"""What the trial tiers do: sleep, and find what they were told to find."""

import time
from datetime import UTC, datetime

from tdev_operators.core.items import ItemOutcome
from tdev_operators.core.verdicts import CheckResult, Coverage, Verdict
from tdev_operators.operators.work import ItemWorkOperator


class TrialOperator(ItemWorkOperator):
    """Sleeps, then finds what it was told to find."""

    def __init__(self, *, seconds: float = 0, verdict: str = "OK", **kwargs):
        super().__init__(**kwargs)
        self.seconds = seconds
        self.verdict = verdict

    def work(self, _system, _settings):
        started = datetime.now(UTC)
        time.sleep(self.seconds)
        result = CheckResult(
            check="trial.sleep",
            verdict=Verdict(self.verdict),
            summary=f"Slept {self.seconds:g} s.",
            coverage=Coverage(seen=("the clock",)),
        )
        return ItemOutcome(results=(result,), started_at=started, ended_at=datetime.now(UTC))
