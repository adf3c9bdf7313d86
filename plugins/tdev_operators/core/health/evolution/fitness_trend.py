"""Whether the mean fitness of the generations declines."""

from tdev_operators.core.errors import AccessDeniedError
from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.trend import least_squares
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("database",)
HINT = (
    "Compare mutations and population of the last generations in evolution_history with those before the decline; "
    "the last good checkpoint is in the checkpoints bucket."
)


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """CRITICAL when the mean fitness by generation falls with the certainty, and by the amount, that the settings ask.

    A fall that is as certain but smaller is a WARNING. Too few generations carry no trend: UNKNOWN.
    """
    limits = settings.health.evolution
    findings = Findings(__name__)
    rows = system.database.rows(load_sql("health/fitness_trend"), {"hours": limits.history_hours})
    if rows and rows[0]["rows_hidden"]:
        raise AccessDeniedError("Row security hides rows of evolution_history; give our role BYPASSRLS.")
    if len(rows) < limits.minimum_generations:
        findings.skip(
            "fitness trend",
            f"{len(rows)} generations in {limits.history_hours:g} h, {limits.minimum_generations} needed",
        )
        # Too few generations is what a stalled evolution looks like from here.
        return findings.conclude("There is no trend to judge.", because_of="evolution.generation_age")
    findings.saw("evolution_history")
    trend = least_squares([(row["generation"], row["mean_fitness"]) for row in rows])
    confidence = 100 * trend.falling_confidence
    findings.measure("fitness slope by generation", trend.slope)
    findings.measure("standard error of the slope", trend.standard_error)
    findings.measure("autocorrelation of what the line leaves over", round(trend.autocorrelation, 3))
    findings.measure("generations", trend.points)
    decline = -trend.slope * (rows[-1]["generation"] - rows[0]["generation"])
    findings.measure("decline over the span", decline)
    findings.measure("certainty of a decline", round(confidence, 2), "%")
    sentence = (
        f"changes by {trend.slope:+.5f} (standard error {trend.standard_error:.5f}) a generation over {trend.points} "
        f"generations; a decline is {confidence:.1f} % certain."
    )
    if confidence >= limits.fitness_confidence_percent:
        verdict = Verdict.CRITICAL if decline >= limits.minimum_decline else Verdict.WARNING
        findings.found(verdict, f"The fitness is declining, by {decline:.3f} in all: its mean {sentence}")
    return findings.conclude(f"The mean fitness {sentence}")
