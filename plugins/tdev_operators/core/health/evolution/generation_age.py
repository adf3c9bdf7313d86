"""How long ago the last generation was first recorded; after a step back to a checkpoint, how long ago it went on."""

from tdev_operators.core.errors import AccessDeniedError
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.setting_types import Ceiling
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("database",)
# So many times the seconds after which it is stalled are looked at for an engine that went back to a checkpoint.
_WINDOW_TIMES = 3
HINT = (
    "Start `tdev_recover_evolution`: a dry run finds out why and touches nothing; else it restarts the engine and "
    "proves the next generations."
)


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """CRITICAL when the evolution is stalled, WARNING when a generation is late by half an interval.

    Measured with the database's clock. Rows from the future are not believed. Numbers that were made before count when
    the engine went back once, as it does from a checkpoint; who goes back again and again repeats himself.
    """
    pace = settings.evolution
    late = min(1.5 * pace.generation_interval_seconds, pace.stalled_after_seconds)
    limits = Ceiling(warning=late, critical=pace.stalled_after_seconds)
    findings = Findings(__name__)
    window = {"window_seconds": _WINDOW_TIMES * pace.stalled_after_seconds}
    [row] = system.database.rows(load_sql("health/generation_age"), window)
    if row["rows_hidden"]:
        raise AccessDeniedError("Row security hides rows of evolution_history; give our role BYPASSRLS.")
    if row["age_seconds"] is None:
        return findings.conclude("No generation is recorded yet.")
    findings.saw("evolution_history")
    age, generation, highest = row["age_seconds"], row["generation"], row["generation"]
    first = "first "
    if row["risen_to"] is not None and row["risen_seconds_ago"] < age and row["steps_back"] <= 1:
        age, generation, first = row["risen_seconds_ago"], row["risen_to"], ""
    sentence = (
        f"Generation {generation} was {first}recorded {age / 60:.0f} min ago; "
        f"one is due every {pace.generation_interval_seconds / 60:.0f} min."
    )
    if generation < highest:
        sentence += f" The engine went back to a checkpoint: its highest generation was {highest}."
    if row["steps_back"] > 1:
        sentence += f" The engine went back {row['steps_back']} times, to generations that it had made before."
    verdict = findings.measure("age of the last generation", round(age, 1), "s", limits)
    stalled = "The evolution is stalled: " if verdict is Verdict.CRITICAL else ""
    findings.found(verdict, stalled + sentence)
    if row["future_rows"]:
        findings.found(
            Verdict.UNKNOWN,
            f"{row['future_rows']} rows of evolution_history lie in the future; a writer's clock is wrong.",
        )
    return findings.conclude(sentence, data_age_seconds=age)
