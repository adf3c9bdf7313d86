"""How long ago the last generation was first recorded; after a step back to a checkpoint, how long ago it went on."""

from tdev_operators.core.evolution.progress import read_progress, told_of
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.setting_types import Ceiling
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("database",)
HINT = (
    "Start `tdev_recover_evolution`: a dry run finds out why and touches nothing; else it restarts the engine and "
    "proves the next generations."
)


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """CRITICAL when the evolution is stalled, WARNING when a generation is late by half an interval.

    Measured with the database's clock. Rows from the future are not believed. Numbers that were made before count after
    a step back to a checkpoint; those that were made again since do not.
    """
    pace = settings.evolution
    late = min(1.5 * pace.generation_interval_seconds, pace.stalled_after_seconds)
    limits = Ceiling(warning=late, critical=pace.stalled_after_seconds)
    findings = Findings(__name__)
    progress = read_progress(system.database, pace)
    if progress is None:
        return findings.conclude("No generation is recorded yet.")
    findings.saw("evolution_history")
    age, steps = progress.age_seconds, progress.steps_back
    sentence = (
        f"{told_of(progress.generation, age, progress.highest)}; "
        f"one is due every {pace.generation_interval_seconds / 60:.0f} min."
        + (f" The engine went back {steps} times lately." if steps > 1 else "")
    )
    verdict = findings.measure("age of the last generation", round(age, 1), "s", limits)
    stalled = "The evolution is stalled: " if verdict is Verdict.CRITICAL else ""
    findings.found(verdict, stalled + sentence)
    if progress.future_rows:
        findings.found(
            Verdict.UNKNOWN,
            f"{progress.future_rows} rows of evolution_history lie in the future; a writer's clock is wrong.",
        )
    return findings.conclude(sentence, data_age_seconds=age)
